"""`Planner`: sample, repair, stitch, polish, judge, time."""

from edmp.planner.planner import Planner, plan
from edmp.planner.settings import PlannerSettings

__all__ = ["Planner", "PlannerSettings", "plan"]
