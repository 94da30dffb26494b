"""Straight lines of the tool: `follow` finds motions along them, or says how far they go and why no further."""

from edmp.cartesian.follow import follow

__all__ = ["follow"]
