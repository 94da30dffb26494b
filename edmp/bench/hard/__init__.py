"""Problems that today's planner finds hard: narrow, cluttered, detours, and poses most of whose goals are blocked."""

from edmp.bench.hard.make import DRAWS, make_hard

__all__ = ["DRAWS", "make_hard"]
