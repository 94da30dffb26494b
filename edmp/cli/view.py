"""``edmp view``: a plan, a problem or a scene in a window, in a browser, or as a page to keep."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edmp.cli.arguments import numbers, progress_console
from edmp.errors import InvalidInputError
from edmp.files.writing import check_writable

if TYPE_CHECKING:
    from edmp.viz.subject import Subject


def view(
    source: Annotated[str, typer.Argument(help="Plan file (.json), scene, problem or cloud, or a shipped example.")],
    web: Annotated[bool, typer.Option("--web", help="Show it in a browser, from this machine.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page (.html) that needs nothing else, and end.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the page; default: the first free one from 7000.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    robot: Annotated[
        str | None, typer.Option(help="Robot name or description file, for a scene; default: its own, else panda.")
    ] = None,
    q: Annotated[str | None, typer.Option("--q", help="Where the robot stands in a scene [rad], or 'home'.")] = None,
    request: Annotated[Path | None, typer.Option(help="MoveIt request that belongs to a MoveIt scene.")] = None,
    geometry: Annotated[str, typer.Option(help="Draw the robot as auto, meshes, hulls, spheres or boxes.")] = "auto",
) -> None:
    """Show a plan and play it; a plan file alone is enough. Without --web or --html, in a window."""
    if port is not None and not web:
        raise InvalidInputError("--port belongs to --web")
    if html is not None:
        if web:
            raise InvalidInputError("give either --web or --html")
        check_writable(html, "--html", suffixes=(".html", ".htm"))
    with progress_console().status(f"reading {source}"), contextlib.redirect_stdout(sys.stderr):
        subject = read_subject(source, robot=robot, q=q, request=request)
    if html is not None:
        from edmp.viz.web import save_page

        with progress_console().status("writing the page"):
            save_page(subject, html, geometry=geometry)
        typer.echo(f"written {html}")
    elif web:
        show_in_browser(subject, port=port, browser=browser, geometry=geometry)
    else:
        show_in_window(subject, geometry=geometry)


def read_subject(source: str, *, robot: str | None, q: str | None, request: Path | None) -> Subject:
    """What the options of ``edmp view`` describe.

    Raises:
        EdmpError: names the option or file at fault.
    """
    import numpy as np

    from edmp.viz.subject import subject_of

    if Path(source).suffix.lower() == ".json" and (robot or q or request):
        raise InvalidInputError("a plan file says its robot and where it goes: leave out --robot, --q and --request")
    with _file_of(source) as path:
        subject = subject_of(path, robot=robot, request=request)
    if q is None:
        return subject
    arm = subject.robot
    standing = arm.home if q.strip() == "home" else np.array(numbers(q, arm.dof, f"--q for {arm.name}"))
    return dataclasses.replace(subject, start=standing)


def _file_of(source: str) -> contextlib.AbstractContextManager[Path]:
    """The file, or that of the shipped example, by the rules of ``edmp plan --scene``."""
    from edmp.scenes.files import example_path

    if not Path(source).exists() and "/" not in source and not Path(source).suffix:
        return example_path(source)
    return contextlib.nullcontext(Path(source))


def present(subject: Subject, *, html: Path | None = None, movie: Path | None = None) -> None:
    """Write the page or the movie, or else show it in a browser."""
    if html is not None:
        from edmp.viz.web import save_page

        save_page(subject, html)
        typer.echo(f"written {html}", err=True)
    elif movie is not None:
        from edmp.viz import save_movie

        with progress_console().status("filming"):
            save_movie(subject, movie)
        typer.echo(f"written {movie}", err=True)
    else:
        show_in_browser(subject)


def show_in_browser(subject: Subject, *, port: int | None = None, browser: bool = True, geometry: str = "auto") -> None:
    """Serve the page until Ctrl-C, and open it where there is a screen."""
    from edmp.viz.web import serve
    from edmp.viz.window import has_screen

    def ready(address: str) -> None:
        typer.echo(f"{address} shows {subject.name or subject.robot.name}; Ctrl-C ends it", err=True)
        if browser and has_screen():  # without one, a browser of the terminal would take the terminal over
            import webbrowser

            webbrowser.open(address)

    serve(subject, port=port, geometry=geometry, ready=ready)


def show_in_window(subject: Subject, *, geometry: str = "auto") -> None:
    """Open the Open3D window.

    Raises:
        EdmpError: there is no screen, or no Open3D; says what helps.
    """
    from edmp.viz.window import show

    show(subject, geometry=geometry)
