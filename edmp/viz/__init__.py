"""Pictures, movies and views of plans: the same verbs everywhere, on machines with and without a screen.

Names are loaded when they are first used: importing this package imports no renderer and no window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edmp.lazy_names import lazily

_HOMES = {
    "edmp.viz.denoising": ("save_denoising",),
    "edmp.viz.figure": ("save_image",),
    "edmp.viz.movie": ("save_movie",),
    "edmp.viz.plots": ("save_plots",),
    "edmp.viz.subject": ("Subject", "subject_of"),
    "edmp.viz.web": ("save_page", "serve"),
    "edmp.viz.window": ("show",),
}

if TYPE_CHECKING:
    from edmp.viz.denoising import save_denoising
    from edmp.viz.figure import save_image
    from edmp.viz.movie import save_movie
    from edmp.viz.plots import save_plots
    from edmp.viz.subject import Subject, subject_of
    from edmp.viz.web import save_page, serve
    from edmp.viz.window import show

__all__ = [
    "Subject", "save_denoising", "save_image", "save_movie", "save_page", "save_plots", "serve", "show", "subject_of",
]  # fmt: skip

__getattr__, __dir__ = lazily(__name__, _HOMES, __all__)
