"""Plans in a browser: `save_page` writes one file that moves, `serve` shows the same page on this machine.

The page is Drake's Meshcat viewer with edmp's own controls. Of what was at hand, Drake is a dependency anyway, its page
holds all it needs (`Meshcat.StaticHtml`: no network, also from file://), and it brings three.js with a scene tree.
viser keeps its scene in a running server and only plays back recordings of it elsewhere; meshcat-python is the same
viewer in an older version as one more package. Drake's own controls (`AddSlider`, animations) live in the server or
know one motion only, so that the controls here are the page's own: time, speed, motions and toggles work alike served
and from a file, and the page moves the robot by its kinematics instead of by stored frames.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import re
from collections.abc import Callable
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import numpy as np

from edmp.arguments import checked
from edmp.errors import EdmpError, InvalidInputError
from edmp.files.writing import check_writable, written_whole
from edmp.viz.setting import takes_setting
from edmp.viz.staging import Staging
from edmp.viz.subject import Subject, Viewable, subject_of
from edmp.viz.web_scene import scene_document

HOST = "127.0.0.1"
"""Only programs on this machine can see the page."""
FIRST_PORT, NUM_PORTS = 7000, 100
"""Where a free port is looked for if none is given."""

LIGHTS = {"AmbientLight": 1.3, "PointLightPositiveX": 0.0, "PointLightNegativeX": 0.0, "FillLight": 0.3}
"""Brightness of the viewer's own lights; the page adds a sun on the side of the camera."""


@takes_setting
@checked
def save_page(
    source: Viewable | Subject,
    path: str | Path,
    *,
    geometry: str = "auto",
) -> None:
    """Write a page that shows a plan in three dimensions and plays it: one file, for any browser, without network.

    Args:
        source: a result, a plan file or what `edmp.viz.subject_of` makes.
        path: of the page, ending in .html.
        geometry: ``"meshes"``, ``"hulls"``, ``"spheres"`` or ``"boxes"``; by default meshes where they are installed.

    Raises:
        InvalidInputError: something is missing, or the file cannot be written.
        UnknownNameError: no such geometry.
    """
    path = check_writable(path, "page", suffixes=(".html", ".htm"))
    subject = subject_of(source)
    page = page_of(subject, geometry=geometry)
    with written_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


@checked
def serve(
    subject: Subject,
    *,
    port: int | None = None,
    geometry: str = "auto",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Show the page to browsers on this machine until Ctrl-C.

    Args:
        subject: what is shown.
        port: to listen at, 0 for any; the first free one from 7000 if not given.
        geometry: see `save_page`.
        ready: called with the address of the page once it can be opened.

    Raises:
        InvalidInputError: the port is taken or not allowed.
        UnknownNameError: no such geometry.
    """
    server = _listening(port)
    try:
        server.page = page_of(subject, geometry=geometry).encode()
        if ready is not None:
            ready(f"http://localhost:{server.server_address[1]}/")
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass  # this is how it is meant to end
    finally:
        server.server_close()


def page_of(subject: Subject, *, geometry: str = "auto") -> str:
    """The page as text."""
    document = scene_document(Staging(subject, geometry))
    # "<" is written as an escape, so that no name in the scene can end the script element that holds it.
    scene = json.dumps(document, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    camera = document["camera"]
    viewer = _viewer(tuple(camera["eye"]), tuple(camera["target"]))
    here = files("edmp.viz")
    panels = here.joinpath("web_page.html").read_text(encoding="utf-8")
    script = here.joinpath("web_page.js").read_text(encoding="utf-8")
    body, end, rest = viewer.rpartition("</body>")
    if not end or "var viewer = new MeshCat.Viewer" not in viewer:
        raise EdmpError("the page of this version of Drake's Meshcat is unknown; edmp was tested with drake 1.51")
    head, _, tail = panels.partition("@SCENE@")
    body = body.replace("<head>", '<head><meta name="viewport" content="width=device-width, initial-scale=1">', 1)
    return body + head + scene + tail.replace("@SCRIPT@", script) + end + rest


# --- Drake's viewer --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _viewer(eye: tuple[float, ...], target: tuple[float, ...]) -> str:
    """Drake's Meshcat page with its camera set, and nothing in the scene. What the page itself sets (background, field
    of view) is left out: this viewer applies its settings late, over those of the page."""
    from pydrake.geometry import Meshcat, MeshcatParams

    logger = logging.getLogger("drake")
    level = logger.level
    logger.setLevel(logging.WARNING)  # it would announce a server that is gone in a moment
    try:
        meshcat: Any = Meshcat(MeshcatParams(host="localhost", port=0))
    finally:
        logger.setLevel(level)
    for name in ("Axes", "Grid"):
        meshcat.SetProperty(f"/{name}", "visible", False)
    for light, intensity in LIGHTS.items():
        meshcat.SetProperty(f"/Lights/{light}/<object>", "intensity", intensity)
    meshcat.SetCameraPose(np.array(eye), np.array(target))
    return meshcat.StaticHtml()


# --- the server ------------------------------------------------------------------------------------------------------


def names_this_machine(host: str) -> bool:
    """Whether the Host header of a request is a name that only this machine has for itself.

    A web page anywhere can have its own name resolve to 127.0.0.1 and then read what listens there (DNS rebinding);
    what it cannot do is make a browser send another name than its own.
    """
    match = re.fullmatch(
        r"(?:\[(?P<v6>[0-9a-f:]+)\]|(?P<name>[a-z0-9.-]+))(?::[0-9]{1,5})?", host.strip(), re.IGNORECASE
    )
    if match is None:
        return False
    if (match["name"] or "").lower() == "localhost":
        return True
    try:
        return (IPv6Address(match["v6"]) if match["v6"] else IPv4Address(match["name"])).is_loopback
    except AddressValueError:
        return False


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    page = b""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not names_this_machine(hosts[0]):
            address = f"http://localhost:{self.server.server_address[1]}/"
            self.send_error(403, explain=f"this page is for browsers on its own machine: open {address}")
            return
        if self.path == "/favicon.ico":  # asked for before the page has said that it has none
            self.send_response(204)
            self.end_headers()
            return
        if self.path.partition("?")[0] != "/":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.page)))
        self.send_header("Cache-Control", "no-store")  # the next plan has the same address
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a browser that has been closed meanwhile
            self.wfile.write(self.server.page)

    def log_message(self, format: str, *args: Any) -> None:
        logging.getLogger(__name__).info(format, *args)


def _listening(port: int | None) -> _Server:
    if port is not None and port != 0 and not 1024 <= port <= 65535:
        raise InvalidInputError(f"port must be 0 (any free one) or from 1024 to 65535, got {port}")
    for candidate in range(FIRST_PORT, FIRST_PORT + NUM_PORTS) if port is None else (port,):
        try:
            return _Server((HOST, candidate), _Handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise InvalidInputError(f"cannot listen at port {candidate}: {error.strerror or error}") from error
    if port is None:
        raise InvalidInputError(f"ports {FIRST_PORT} to {FIRST_PORT + NUM_PORTS - 1} are all taken; give another one")
    raise InvalidInputError(f"port {port} is taken by another program; give another one, or none to have one found")
