"""Tasks: several motions and what the gripper does between them; see `edmp.taskplan` for what comes out."""

from edmp.tasks.grasps import Grasps, grasps_for
from edmp.tasks.picking import pick, pick_and_place, place
from edmp.tasks.problem import PickProblem, load_pick, save_pick
from edmp.tasks.sequence import Attach, Detach, Grip, Move, Sequence

__all__ = [
    "Attach",
    "Detach",
    "Grasps",
    "Grip",
    "Move",
    "PickProblem",
    "Sequence",
    "grasps_for",
    "load_pick",
    "pick",
    "pick_and_place",
    "place",
    "save_pick",
]
