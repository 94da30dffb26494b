"""What a motion is to reach, as data, and how files say it: a pose of the tool, a line to one, a way over several."""

from edmp.goals.kinds import ROTATION_TOLERANCE, TOLERANCE, Line, PoseGoal, ToolGoal, Via

__all__ = ["ROTATION_TOLERANCE", "TOLERANCE", "Line", "PoseGoal", "ToolGoal", "Via"]
