"""Differentiable costs over (robot, scene, trajectories); ensembles of them, and what is added to them."""

from edmp.collision.world import World
from edmp.costs.base import Cost, Margins, cost_by_name, cost_names, make_cost, register_cost
from edmp.costs.clearance import SelfCollision, SphereClearance
from edmp.costs.ensemble import Ensemble, Member
from edmp.costs.goal import GoalPose
from edmp.costs.objective import Objective, Term
from edmp.costs.presets import ensemble_by_name, ensemble_names
from edmp.costs.regularity import JointLimits, Smoothness
from edmp.costs.schedule import Constant, Linear, Ramp, Schedule, Varying
from edmp.costs.volume import IntersectionVolume, SweptVolume

__all__ = [
    "Constant",
    "Cost",
    "Ensemble",
    "GoalPose",
    "IntersectionVolume",
    "JointLimits",
    "Linear",
    "Margins",
    "Member",
    "Objective",
    "Ramp",
    "Schedule",
    "SelfCollision",
    "Smoothness",
    "SphereClearance",
    "SweptVolume",
    "Term",
    "Varying",
    "World",
    "cost_by_name",
    "cost_names",
    "ensemble_by_name",
    "ensemble_names",
    "make_cost",
    "register_cost",
]
