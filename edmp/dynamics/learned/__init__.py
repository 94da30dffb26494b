"""Networks that forecast an arm that they have not met from a short stretch of its motion (arXiv 2604.13366).

| module | holds |
|---|---|
| `windows.py` | recorded windows of many arms, for training |
| `condition.py` | what a network is told, and how it is normalised |
| `networks.py` | the four networks: RoboMorph, inpainting diffuser, conditioned CNN and transformer |
| `forecasting.py` | what one of them says of the rest of a window, in joint units; its files |
| `train.py` | how one is trained |
"""

from edmp.lazy_names import lazily

__all__ = ["Ablation", "LearnedDynamics", "forecast", "load"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "edmp.dynamics.learned.condition": ["Ablation"],
        "edmp.dynamics.learned.forecasting": ["LearnedDynamics", "forecast", "load"],
    },
    __all__,
)
