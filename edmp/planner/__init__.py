"""`Planner`: sample, repair, stitch, polish, judge, time."""

from edmp.planner.front import plan
from edmp.planner.planner import Planner
from edmp.planner.settings import FIRST_LOOK, FRESH, REFINE, WARM_START, PlannerSettings, Round
from edmp.planner.tracing import record_plan

__all__ = ["FIRST_LOOK", "FRESH", "REFINE", "WARM_START", "Planner", "PlannerSettings", "Round", "plan", "record_plan"]
