"""Pictures of plans, made anywhere: no screen, no GPU."""

from edmp.viz.figure import save_image

__all__ = ["save_image"]
