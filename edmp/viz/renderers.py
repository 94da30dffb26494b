"""Which renderer draws: ours in numpy, Drake's VTK or Open3D's Filament; what each needs, found out by trying.

The one in numpy is the default: it needs nothing, draws outlines and shadows, and on a CPU its frames take no longer
than those of the others, which need seconds to load a scene besides. The others are there for their light.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache

from edmp.errors import MissingDependencyError, unknown_name
from edmp.viz.raster import NumpyRenderer
from edmp.viz.shot import Renderer

log = logging.getLogger(__name__)

PROBE_TIMEOUT = 120.0
"""A renderer that has not drawn its first small picture by then is taken to hang [s]."""


def _drake() -> Renderer:
    from edmp.viz.render_drake import DrakeRenderer

    return DrakeRenderer()


def _open3d() -> Renderer:
    from edmp.viz.render_open3d import Open3dRenderer

    return Open3dRenderer()


RENDERERS: Mapping[str, Callable[[], Renderer]] = {"numpy": NumpyRenderer, "drake": _drake, "open3d": _open3d}


def renderer_by_name(renderer: str | Renderer | None = None) -> Renderer:
    """The renderer of this name, known to work on this machine; None chooses.

    Raises:
        UnknownNameError: no such renderer.
        MissingDependencyError: it cannot draw here; the message says what to install.
    """
    if renderer is None:
        log.info("renderer: numpy, which works everywhere; drake and open3d are drawn with only if renderer= says so")
        return NumpyRenderer()
    if not isinstance(renderer, str):
        return renderer
    if renderer not in RENDERERS:
        raise unknown_name("renderer", renderer, RENDERERS)
    if trouble := trouble_with(renderer):
        raise MissingDependencyError(f"renderer {renderer!r} cannot draw here: {trouble}")
    log.info("renderer: %s", renderer)
    return RENDERERS[renderer]()


@lru_cache(maxsize=8)
def trouble_with(name: str) -> str | None:
    """Why a renderer does not work on this machine, and what to install; None if it does.

    It is tried in a process of its own: a graphics library that lacks something may well end the process.
    """
    if name == "numpy":
        return None
    code = f"from edmp.viz.renderers import probe; probe({name!r})"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PROBE_TIMEOUT)
    except subprocess.TimeoutExpired:
        return f"it did not draw a small picture within {PROBE_TIMEOUT:.0f} s"
    return None if done.returncode == 0 else advice(name, done.stderr, done.returncode)


def probe(name: str) -> None:
    """Draw a small picture and look at it; for a process of its own."""
    import numpy as np

    from edmp.viz.camera import direction, fitted
    from edmp.viz.shot import Body, Shot
    from edmp.viz.surfaces import tube

    ball = tube(np.zeros((1, 3)), 0.3, (1.0, 0.2, 0.2))
    camera = fitted(np.array([[-1.0, -1, -1], [1, 1, 1]]), direction(0.3, 0.4), (64, 48))
    view = RENDERERS[name]().open(Shot(camera, (), (), (Body(ball),), -1.0))
    image = view.frame(np.eye(4)[None])
    view.close()
    red = (image[..., 0] > 1.5 * image[..., 1]).mean()
    if not 0.01 < red < 0.5:
        raise RuntimeError(f"the test picture is wrong: {100 * red:.1f} % red")


_MISSING: Mapping[str, str] = {
    "No module named 'open3d'": "pip install 'edmp[viz]'",
    "libusb-1.0.so": "apt install libusb-1.0-0",
    "X11 display": "another DISPLAY; this one does not exist or may not be used",
    "vulkan": "apt install libvulkan1 mesa-vulkan-drivers",
    "libGL.so": "apt install libgl1",
    "libEGL": "apt install libegl1",
    "libgomp": "apt install libgomp1",
    "libX11": "apt install libx11-6",
    "display": "apt install libegl1 libgl1-mesa-dri",
}
"""What a complaint contains, and what helps."""


def advice(name: str, complaint: str, code: int) -> str:
    """What the ``complaint`` of a renderer's process, which ended with ``code``, means, and what to install."""
    lines = [line for line in complaint.strip().splitlines() if line.strip()]
    cause = lines[-1].strip() if lines else f"its process ended with code {code}"
    helps = next((remedy for sign, remedy in _MISSING.items() if sign.lower() in complaint.lower()), None)
    return f"{cause}; try: {helps}" if helps else cause
