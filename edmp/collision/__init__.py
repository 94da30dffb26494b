"""The collision engine: robot and scene packed for fused kernels, kinematics, distances, and what is free.

Costs, sampling-based search, repair and baselines ask it; the judge does not.
"""

from edmp.collision.free import edges_free, free, paths_free, relaxed_world
from edmp.collision.world import World

__all__ = ["World", "edges_free", "free", "paths_free", "relaxed_world"]
