"""Planners to compare with, each an implementation of its own publication, none of them a part of edmp's planner."""

from edmp.baselines.base import Baseline, Claim, Task

__all__ = ["Baseline", "Claim", "Task"]
