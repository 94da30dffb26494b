"""Dynamics of arms: simulated by the thousand, made up at random, learned and identified from what they did."""

from edmp.lazy_names import lazily

__all__ = [
    "ArmDynamics",
    "ArmModel",
    "Controller",
    "IdentifySettings",
    "LabelSettings",
    "Prediction",
    "forward_dynamics",
    "identify",
    "inverse_dynamics",
    "label_log",
    "rollout",
    "track",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "edmp.dynamics.arm": ["ArmDynamics"],
        "edmp.dynamics.identification": ["IdentifySettings", "identify"],
        "edmp.dynamics.label": ["LabelSettings", "label_log"],
        "edmp.dynamics.model": ["ArmModel"],
        "edmp.dynamics.prediction": ["Prediction"],
        "edmp.dynamics.simulate": ["Controller", "forward_dynamics", "inverse_dynamics", "rollout", "track"],
    },
    __all__,
)
