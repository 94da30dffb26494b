"""Tasks: several motions and what the gripper does between them; see `edmp.taskplan` for what comes out."""

from edmp.tasks.grasps import Grasps, grasps_for
from edmp.tasks.pick import pick, pick_and_place, place
from edmp.tasks.sequence import Attach, Detach, Grip, Move, Sequence

__all__ = ["Attach", "Detach", "Grasps", "Grip", "Move", "Sequence", "grasps_for", "pick", "pick_and_place", "place"]
