"""Sampling-based search on the sphere model: RRT-Connect and shortcutting, compiled (Kuffner and LaValle 2000)."""

from edmp.connect.search import connect

__all__ = ["connect"]
