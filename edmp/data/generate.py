"""Expert data: random scenes, RRT-Connect with shortcutting, spline fit, covariant smoothing, shards on disk.

Each scene is one unit of work with a seed of its own, so the data do not depend on how many processes make them, and a
stopped run goes on with the shards that are missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edmp.data.workers import shard_pool
from edmp.errors import EdmpError, FileFormatError, InvalidInputError, unknown_name
from edmp.files.json_nodes import read_json
from edmp.files.writing import write_json, written_whole
from edmp.ranges import Range, check_fields
from edmp.robots.configuration import one_turn
from edmp.robots.robot import Robot
from edmp.trajectory import path_length

if TYPE_CHECKING:
    from edmp.collision.world import World
    from edmp.scenes.scene import Scene

Array = NDArray[np.float64]

MANIFEST_VERSION = 1
BENCHMARK_SEED_BASE = 1 << 40
"""Scene seeds from here on belong to benchmarks; generated training data never reach them."""

GOALS = ("any", "nearest")

BARREN_SHARDS = 8
"""So many finished shards in a row without a single trajectory end the run: something is wrong with the setting."""


@dataclass(frozen=True)
class GenerateSettings:
    """How expert data are made.

    Attributes:
        robot: name of the robot.
        count: trajectories to make, both directions of a path counted as one.
        seed: scene i has the seed ``seed * 10**6 + i``.
        families: scene families, drawn uniformly.
        queries_per_scene: start and goal pairs tried in each scene.
        targets_per_scene: task poses tried in each scene.
        margin: largest distance kept from obstacles; each scene draws its own uniformly from 0 to this [m].
        scenes_per_shard: scenes in one file.
        ways: searches for each pair, of which the shortest way is kept: a random one of several ways round teaches
            a mean of them, which is none.
        goals: ``any``, a task configuration drawn at random, or ``nearest``: of the configurations with the tool at the
            same pose, the free one nearest to the start (`edmp.data.nearest`), so that who sees the pose alone can
            foresee it. Such paths do not hold backwards.
    """

    robot: str = "panda"
    count: int = 100_000
    seed: int = 1
    families: tuple[str, ...] = ()
    queries_per_scene: int = 24
    targets_per_scene: int = 32
    margin: float = 0.02
    scenes_per_shard: int = 64
    ways: int = 1
    goals: str = "any"

    def __post_init__(self) -> None:
        if self.goals not in GOALS:
            raise unknown_name("choice of goals", self.goals, GOALS)
        count, length = Range(1, whole=True), Range(0)
        whole = dict.fromkeys(("count", "queries_per_scene", "targets_per_scene", "scenes_per_shard", "ways"), count)
        check_fields(self, {**whole, "seed": Range(0, whole=True), "margin": length})

    def scene_seed(self, scene: int) -> int:
        value = self.seed * 1_000_000 + scene
        if scene >= 1_000_000 or value >= BENCHMARK_SEED_BASE:
            raise InvalidInputError(f"scene {scene} of seed {self.seed} would run into the seeds kept for benchmarks")
        return value


def generate(
    out: str | Path, settings: GenerateSettings, *, workers: int | None = None, max_seconds: float | None = None
) -> Path:
    """Make expert data in folder ``out``; goes on where an earlier run with the same settings stopped.

    Writes ``manifest.json`` and ``shard-NNNNN.safetensors``, each with ``control_points`` float32 (n, 16, dof) [rad]
    and ``scene`` int32 (n,).

    Args:
        out: folder, made if missing.
        settings: what to make.
        workers: processes; all cores if not given.
        max_seconds: stop after this time, with the shards finished by then [s].

    Returns:
        The path of the manifest.

    Raises:
        InvalidInputError: settings that make no sense, or other than those of the data already there.
        UnknownNameError: no such robot or scene family.
        EdmpError: `BARREN_SHARDS` shards in a row came out empty.
    """
    from edmp.learning.progress import trajectory_progress

    _check(settings, workers)
    out = Path(out)
    manifest = _open_manifest(out, settings)
    workers = workers or len(os.sched_getaffinity(0))
    deadline = time.monotonic() + max_seconds if max_seconds else float("inf")
    done = manifest["shards"]
    barren = 0
    todo = (k for k in range(10**9) if str(k) not in done)
    with trajectory_progress(settings.count) as show, shard_pool(workers, out) as pool:
        show(_total(manifest))
        running = {pool.submit(_make_shard, str(out), settings, next(todo)) for _ in range(workers)}
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                shard, stats = future.result()
                done[str(shard)] = stats
                write_json(out / "manifest.json", manifest)
                show(_total(manifest))
                barren = 0 if stats["trajectories"] else barren + 1
                if barren >= BARREN_SHARDS:
                    raise EdmpError(_barren(settings, manifest))
                if _total(manifest) < settings.count and time.monotonic() < deadline:
                    running.add(pool.submit(_make_shard, str(out), settings, next(todo)))
    return out / "manifest.json"


def _check(settings: GenerateSettings, workers: int | None) -> None:
    """Told here, before a worker starts."""
    from edmp.robots import load_robot
    from edmp.scenes.generators import FAMILIES

    load_robot(settings.robot)
    for family in settings.families:
        if family not in FAMILIES:
            raise unknown_name("scene family", family, FAMILIES)
    if workers is not None and workers < 1:
        raise InvalidInputError(f"workers must be at least 1, got {workers}")


def _barren(settings: GenerateSettings, manifest: dict[str, Any]) -> str:
    queries = sum(shard["queries"] for shard in manifest["shards"].values())
    return (
        f"{BARREN_SHARDS} shards of {settings.scenes_per_shard} scenes in a row without a single trajectory of "
        f"{settings.robot} ({queries} queries tried in all): no use going on. Can the arm reach the targets of "
        f"{', '.join(settings.families) or 'these scene families'} with margin {settings.margin} m? "
        "Larger targets_per_scene and queries_per_scene find more."
    )


def _total(manifest: dict[str, Any]) -> int:
    return sum(shard["trajectories"] for shard in manifest["shards"].values())


def _open_manifest(out: Path, settings: GenerateSettings) -> dict[str, Any]:
    from edmp.robots import load_robot
    from edmp.scenes.generators import FAMILIES

    out.mkdir(parents=True, exist_ok=True)
    wanted = asdict(settings)
    wanted["families"] = sorted(settings.families or FAMILIES)
    robot = load_robot(settings.robot)
    path = out / "manifest.json"
    if path.exists():
        before, manifest = _read_manifest(path)
        before = {**_DEFAULTS, **before}  # data made before a setting was there
        differ = sorted(k for k in wanted if k != "count" and before.get(k) != wanted[k])
        if differ:
            was = ", ".join(f"{k}={before.get(k)!r}" for k in differ)
            raise InvalidInputError(f"{out} holds data made with other settings ({was}); choose another folder")
        check_scenes(manifest, robot, out)
        manifest["settings"] = wanted
        return manifest
    manifest = {**manifest_head(robot), "reversible": settings.goals == "any", "settings": wanted, "shards": {}}
    write_json(path, manifest)
    return manifest


_DEFAULTS = {"ways": 1, "goals": "any"}


def manifest_head(robot: Robot) -> dict[str, Any]:
    """What a manifest says of motions of ``robot`` besides the settings; ``scenes`` is where those of the generators
    stand before the arm."""
    from edmp.scenes.generators import placement

    return {
        "version": MANIFEST_VERSION,
        "reversible": True,
        "robot": robot.name,
        "scenes": asdict(placement(robot)),
    }


def check_scenes(manifest: dict[str, Any], robot: Robot, folder: str | Path) -> None:
    """Scenes are drawn again: `InvalidInputError` if they would stand elsewhere than when the data were made."""
    from edmp.scenes.generators import Placement

    were = manifest.get("scenes", asdict(Placement()))  # data that do not say are from when all scenes were a Panda's
    now = manifest_head(robot)["scenes"]
    if were != now:
        raise InvalidInputError(
            f"{folder} holds motions from scenes that stood elsewhere ({were}; {now} fits the arm): make them again"
        )


def _read_manifest(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings in a manifest, and all of it."""
    root = read_json(path, "manifest")
    try:
        before = root["settings"].keys_plain()
        for _, shard in root["shards"].items():
            shard["trajectories"].integer()
    except FileFormatError as error:
        raise FileFormatError(f"{error}: not a data manifest; choose another folder") from None
    return before, root.keys_plain()


def scene_source(settings: GenerateSettings, scene: int) -> tuple[str, np.random.Generator]:
    """Family of scene number ``scene``, and the generator from which `edmp.scenes.generators.generate` makes it."""
    from edmp.scenes.generators import FAMILIES

    families = sorted(settings.families or FAMILIES)
    rng = np.random.default_rng(settings.scene_seed(scene))
    return families[int(rng.integers(len(families)))], rng


def _make_shard(out: str, settings: GenerateSettings, shard: int) -> tuple[int, dict[str, Any]]:
    """Make one shard file; runs in a worker process."""
    from safetensors.numpy import save_file

    from edmp.robots import load_robot

    begin = time.monotonic()
    robot = load_robot(settings.robot)
    rows, scenes, queries = [], [], 0
    for scene in range(shard * settings.scenes_per_shard, (shard + 1) * settings.scenes_per_shard):
        family, rng = scene_source(settings, scene)
        control_points, tried = _expert_paths(robot, family, rng, settings)
        rows.append(control_points)
        scenes.append(np.full(len(control_points), scene, np.int32))
        queries += tried
    path = Path(out) / f"shard-{shard:05d}.safetensors"
    tensors = {"control_points": np.concatenate(rows).astype(np.float32), "scene": np.concatenate(scenes)}
    with written_whole(path) as temporary:
        save_file(tensors, temporary)
    count = len(tensors["scene"])
    return shard, {"trajectories": count, "queries": queries, "seconds": round(time.monotonic() - begin, 1)}


def _expert_paths(robot: Robot, family: str, rng: np.random.Generator, s: GenerateSettings) -> tuple[Array, int]:
    """(n, 16, dof) smooth collision-free splines in one random scene, and the number of queries tried."""
    _, world, margin, starts, goals = scene_questions(robot, family, rng, s)
    if not len(starts):
        return np.zeros((0, 16, robot.dof)), 0
    return experts(world, starts, goals, margin=margin, ways=s.ways, seed=int(rng.integers(2**30))), len(starts)


def experts(world: World, starts: Array, goals: Array, *, margin: float, ways: int, seed: int) -> Array:
    """Smooth motions from starts to goals (n, dof), for each the shortest of several ways: (m, 16, dof), m <= n.

    Args:
        world: that they are free in, by the sphere model.
        starts, goals: to be joined, one by one [rad or m].
        margin: distance kept from obstacles [m].
        ways: searches for each pair.
        seed: of the searches.
    """
    from edmp.connect import connect

    searched = connect(
        world,
        starts.repeat(ways, axis=0),
        goals.repeat(ways, axis=0),
        seed=seed,
        margin=margin,
        max_iterations=800,
        shortcuts=80,
        step=0.03,
    )
    found = list(_shortest(searched, ways))
    return _smooth(world, found, margin) if found else np.zeros((0, 16, starts.shape[1]))


def scene_questions(
    robot: Robot, family: str, rng: np.random.Generator, s: GenerateSettings
) -> tuple[Scene, World, float, Array, Array]:
    """A random scene, the same for the kernels, a margin to keep [m], and starts and goals (n, dof) to be joined."""
    from edmp.collision.world import World
    from edmp.data.nearest import nearest_goals
    from edmp.scenes.generators import generate as generate_scene

    generated = generate_scene(family, rng, robot)
    world = World.of(robot, generated.scene, only_separable=True)
    margin = float(rng.uniform(0.0, s.margin))
    tasks = _free_task_configurations(robot, world, generated, rng, s.targets_per_scene, margin)
    if len(tasks) < 2:
        return generated.scene, world, margin, np.zeros((0, robot.dof)), np.zeros((0, robot.dof))
    starts, goals = _pairs(robot, world, tasks, rng, s.queries_per_scene, margin)
    if s.goals == "nearest":
        starts, goals = nearest_goals(robot, world, starts, goals, margin=margin)
    return generated.scene, world, margin, starts, goals


def _shortest(paths: Sequence[Array | None], ways: int) -> Iterator[Array]:
    """Of every ``ways`` paths in a row the shortest, where there is one."""
    for first in range(0, len(paths), ways):
        known = [path for path in paths[first : first + ways] if path is not None]
        if known:
            yield min(known, key=path_length)


def _pairs(robot, world, tasks: Array, rng: np.random.Generator, count: int, margin: float) -> tuple[Array, Array]:
    """(count, dof) starts and goals: task to task, near home to task, anywhere to task."""
    from edmp.collision.free import free

    lower, upper = one_turn(robot)
    width = upper - lower
    near_home = np.clip(robot.home + rng.normal(size=(32, robot.dof)) * 0.08 * width, lower, upper)
    near_home[:8] = robot.home
    anywhere = lower + width * rng.uniform(0.02, 0.98, (64, robot.dof))
    pools = [q[free(world, q, margin=margin)] for q in (near_home, anywhere)]
    starts, goals = [], []
    for i in range(count):
        kind = rng.uniform()
        pool = tasks if kind < 0.5 else pools[0] if kind < 0.85 else pools[1]
        pool = pool if len(pool) else tasks
        a, b = pool[int(rng.integers(len(pool)))], tasks[int(rng.integers(len(tasks)))]
        if i % 4 and np.linalg.norm(a - b) < 1.0:  # mostly motions worth planning
            b = tasks[int(rng.integers(len(tasks)))]
        starts.append(a)
        goals.append(b)
    starts_, goals_ = np.array(starts), np.array(goals)
    apart = np.linalg.norm(starts_ - goals_, axis=1) > 0.1
    return starts_[apart], goals_[apart]


def _free_task_configurations(
    robot: Robot, world, generated, rng: np.random.Generator, count: int, margin: float
) -> Array:
    """(n, dof) collision-free configurations with the tool at poses that the scene family calls useful."""
    from edmp.collision.free import free
    from edmp.data.task_poses import task_configurations

    q = task_configurations(robot, generated.targets(rng, count), rng)
    return q[free(world, q, margin=margin)] if len(q) else q


def _smooth(world, paths: list[Array], margin: float) -> Array:
    """(n, 16, dof) splines fitted to polylines, repaired where the fit cut a corner, shortened; only free ones."""
    import torch

    from edmp.descent import Descent
    from edmp.prior.spline import Spline, resample_polyline

    descent = Descent(world, Spline())
    polylines = [resample_polyline(torch.as_tensor(path, dtype=torch.float32)[None], 128) for path in paths]
    control_points = descent.clamp(descent.spline.fit(torch.cat(polylines)))
    best, length = descent.shorten(control_points, clearance=margin + 0.01, iterations=28, margin=margin)
    return best[length.isfinite()].numpy().astype(np.float64)


def shard_files(folder: str | Path) -> Iterator[Path]:
    """The finished shards of a data folder, in order."""
    yield from sorted(Path(folder).glob("shard-*.safetensors"))
