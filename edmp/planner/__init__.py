"""`Planner`: sample, repair, stitch, polish, judge, time."""

from edmp.planner.planner import Planner, plan
from edmp.planner.recording import record_plan
from edmp.planner.settings import FirstLook, PlannerSettings, WarmStart

__all__ = ["FirstLook", "Planner", "PlannerSettings", "WarmStart", "plan", "record_plan"]
