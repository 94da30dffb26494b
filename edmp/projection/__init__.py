"""Splines projected onto what constraints leave."""

from edmp.projection.manifold import Manifold

__all__ = ["Manifold"]
