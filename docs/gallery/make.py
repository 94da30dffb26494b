"""Makes the pictures of docs/gallery.md, in the folder of this script.

    python docs/gallery/make.py [NAME ...]

Names are those of the pictures, without their ending; default: all. It takes some minutes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

import edmp
import edmp.viz
from edmp.baselines import Baseline
from edmp.baselines.chomp import Chomp, ChompSettings
from edmp.baselines.sampling_based import RrtConnect, RrtConnectSettings
from edmp.baselines.stomp import Stomp, StompSettings
from edmp.files.writing import written_whole
from edmp.planner import record_plan
from edmp.problem import load_problem
from edmp.scenes.generators import FAMILIES
from edmp.validate import Judge
from edmp.viz.raster import NumpyRenderer
from edmp.viz.staging import Staging
from edmp.viz.subject import subject_of
from edmp.viz.surfaces import tool_positions

HERE = Path(__file__).resolve().parent
PROBLEMS = HERE.parent.parent / "benchmarks" / "problems"
INK = "#30343c"
PANEL = (520, 430)
"""Size of one picture among several [pixels]."""
BUDGET = 5.0
"""Time of a baseline [s]."""
COLORS = {"edmp": "#b01269", "rrtconnect": "#2a6fb5", "chomp": "#d77a1f", "stomp": "#3c8d5a"}


def scene_picture(stage: Staging, ghosts: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The picture (height, width, 3) of a plan, and the tool's path (n, 2) on it [pixels]."""
    shot = stage.picture(ghosts)
    view = NumpyRenderer().open(shot)
    return view.frame(np.zeros((0, 4, 4))), shot.camera.project(stage.tool_path)[0]


def grid(count: int, columns: int) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels of `PANEL`, a line of words over each."""
    rows = -(-count // columns)
    width, height = PANEL
    figure = Figure(figsize=(columns * width / 100, rows * (height + 34) / 100), dpi=75, facecolor="white")
    FigureCanvasAgg(figure)
    tall = 1 / rows
    boxes = [divmod(k, columns) for k in range(count)]
    share = height / (height + 34)
    axes = [figure.add_axes((c / columns, 1 - (r + 1) * tall, 1 / columns, share * tall)) for r, c in boxes]
    for panel in axes:
        panel.set_axis_off()
    return figure, axes


def save(figure: Figure, name: str) -> None:
    figure.savefig(HERE / f"{name}.png", dpi=75)
    shrink(HERE / f"{name}.png")


def shrink(path: Path) -> None:
    """Give a PNG a palette: a third of the size. Colours that are rare, as those of the paths, are kept."""
    picture = Image.open(path).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    with written_whole(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)


def draw_path(axes: Axes, pixels: NDArray[np.float64], color: str) -> None:
    axes.plot(*pixels.T, color="white", linewidth=4.5, solid_capstyle="round", alpha=0.85)
    axes.plot(*pixels.T, color=color, linewidth=2.4, solid_capstyle="round")


def families() -> None:
    """A plan in a scene of each family."""
    figure, panels = grid(len(FAMILIES), 4)
    for axes, family in zip(panels, FAMILIES, strict=True):
        problem = load_problem(sorted((PROBLEMS / family).glob("*.yaml"))[0])
        result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot)
        stage = Staging(subject_of(result), size=PANEL)
        image, path = scene_picture(stage, 4)
        axes.imshow(image)
        if result.best is not None:
            draw_path(axes, path, COLORS["edmp"])
        words = f"{result.best.length:.2f} rad, {result.stats.time_s:.2f} s" if result.best else result.status.value
        axes.set_title(f"{family.replace('_', ' ')}: {words}", x=0.02, loc="left", fontsize=13, color=INK)
    save(figure, "families")


def failure() -> None:
    """A goal inside an obstacle, and what the result says."""
    problem = edmp.load_example("bookshelf")
    goal = np.asarray(problem.goal, dtype=np.float64).copy()
    goal[1] += 0.35
    result = edmp.plan(problem.scene, problem.start, goal, robot=problem.robot)
    edmp.viz.save_image(result, HERE / "failure.png")
    shrink(HERE / "failure.png")


def denoising() -> None:
    """The film strip of a plan."""
    problem = edmp.load_example("bookshelf")
    planner = edmp.Planner(problem.robot)
    trace = record_plan(planner, problem.scene, problem.start, problem.goal, name=problem.name)
    edmp.viz.save_denoising(trace, HERE / "denoising.png")
    shrink(HERE / "denoising.png")


def baselines() -> None:
    """The paths of several planners for one problem, with the verdict on each."""
    problem = edmp.load_example("cage")
    judge = Judge(problem.robot, problem.scene)
    result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot)
    planners: Mapping[str, Baseline] = {
        "rrtconnect": RrtConnect(RrtConnectSettings(time_budget=BUDGET)),
        "chomp": Chomp(ChompSettings(time_budget=BUDGET)),
        "stomp": Stomp(StompSettings(time_budget=BUDGET)),
    }
    paths = {"edmp": result.path, **{name: planner.plan(problem, seed=0).path for name, planner in planners.items()}}
    stage = Staging(subject_of(result), size=PANEL)
    shot = stage.picture(0)
    image = NumpyRenderer().open(shot).frame(np.zeros((0, 4, 4)))
    figure, panels = grid(len(paths), 2)
    for axes, (name, path) in zip(panels, paths.items(), strict=True):
        axes.imshow(image)
        words = f"no path in {BUDGET:g} s"
        if path is not None:
            between = np.linspace(0, len(path) - 1, 400)
            q = np.stack([np.interp(between, np.arange(len(path)), column) for column in path.T], axis=1)
            draw_path(axes, shot.camera.project(tool_positions(problem.robot, q))[0], COLORS[name])
            length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
            words = (
                f"{length:.2f} rad, {'certified' if judge.check_path(path, start=problem.start).valid else 'refuted'}"
            )
        axes.set_title(f"{name}: {words}", x=0.02, loc="left", fontsize=13, color=INK)
    save(figure, "baselines")


def upright() -> None:
    """Example 09: a cup that is kept upright."""
    sys.path.insert(0, str(HERE.parent.parent / "examples"))
    result = importlib.import_module("09_keep_upright").main(headless=True)
    edmp.viz.save_image(result, HERE / "upright.png")
    shrink(HERE / "upright.png")


def pick() -> None:
    """Example 11, as a movie: the object moves with the hand."""
    sys.path.insert(0, str(HERE.parent.parent / "examples"))
    plan = importlib.import_module("11_pick_and_place").main(headless=True)
    edmp.viz.save_movie(plan, HERE / "pick.gif", fps=12.5, size=(480, 360), renderer="numpy", geometry="hulls")


def lines() -> None:
    """Example 10: straight lines over several poses, with rounded corners."""
    sys.path.insert(0, str(HERE.parent.parent / "examples"))
    result = importlib.import_module("10_straight_lines").main(headless=True)
    edmp.viz.save_image(result, HERE / "lines.png", azimuth=0.6, elevation=0.6)
    shrink(HERE / "lines.png")


PICTURES: Mapping[str, Callable[[], None]] = {
    "families": families, "failure": failure, "denoising": denoising, "baselines": baselines,
    "upright": upright, "lines": lines, "pick": pick,
}  # fmt: skip


if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        PICTURES[name]()
        print(f"{name}: {sum(file.stat().st_size for file in HERE.glob(f'{name}.*')) / 1e3:.0f} kB")
