"""Dynamics of arms: simulated by the thousand, made up at random, learned and identified from what they did."""

from edmp.lazy_names import lazily

__all__ = ["ArmDynamics", "forward_dynamics", "inverse_dynamics", "rollout"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "edmp.dynamics.arm": ["ArmDynamics"],
        "edmp.dynamics.simulate": ["forward_dynamics", "inverse_dynamics", "rollout"],
    },
    __all__,
)
