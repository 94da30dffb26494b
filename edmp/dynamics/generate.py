"""Windows of random arms in motion: shards on disk, from seeds, resumable.

Each shard is one unit of work with a seed of its own, so the data do not depend on how many processes make them, and a
stopped run goes on with the shards that are missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edmp.data.workers import shard_pool
from edmp.dynamics.draws import MOTIONS, Simulator, columns, drawing, simulated, write_shard
from edmp.dynamics.excitation import band_of
from edmp.dynamics.random_arms import spread_of
from edmp.errors import EdmpError, FileFormatError, InvalidInputError
from edmp.files.json_nodes import read_json
from edmp.files.writing import write_json
from edmp.ranges import Range, check_fields

MANIFEST_VERSION = 1
_BARREN = 50
"""Draws for each window that is kept, after which something is wrong with the setting."""


@dataclass(frozen=True)
class WindowSettings:
    """What windows are made.

    Attributes:
        robot: name of the robot whose relatives move.
        count: windows to make.
        excitations: of ``chirp``, ``multisine`` and ``motions``; motions, whose windows have other rows, stand alone.
        bands: of chirps and multisines. Shards take the pairs of excitation and band in turn.
        distribution: of the arms, ``in`` or ``out`` (`edmp.dynamics.random_arms.SPREADS`).
        seed: shard k is made from the pair (seed, k).
        windows_per_shard: in one file, each of another arm.
        pool: different planned motions that the windows of ``motions`` are made of.
    """

    robot: str = "panda"
    count: int = 10_000
    excitations: tuple[str, ...] = ("chirp",)
    bands: tuple[str, ...] = ("D2",)
    distribution: str = "in"
    seed: int = 1
    windows_per_shard: int = 250
    pool: int = 200

    def __post_init__(self) -> None:
        whole = Range(1, whole=True)
        check_fields(self, dict.fromkeys(("count", "windows_per_shard", "pool"), whole))
        check_fields(self, {"seed": Range(0, whole=True)})
        spread_of(self.distribution)
        if not self.excitations or not self.bands:
            raise InvalidInputError("excitations and bands: name at least one of each")
        for kind in self.excitations:
            for band in self.bands:
                if kind != MOTIONS:
                    band_of(kind, band)
        if MOTIONS in self.excitations and len(self.excitations) > 1:
            raise InvalidInputError(f"{MOTIONS} have windows of another length: make them in a folder of their own")

    def kind_of(self, shard: int) -> tuple[str, str]:
        """Excitation and band of a shard; motions have no band."""
        pairs = [(kind, band) for band in self.bands for kind in self.excitations]
        return (MOTIONS, "") if MOTIONS in self.excitations else pairs[shard % len(pairs)]


def generate_windows(
    out: str | Path,
    settings: WindowSettings,
    *,
    workers: int | None = None,
    max_seconds: float | None = None,
    simulator: Simulator = simulated,
    simulator_name: str = "kernels",
) -> Path:
    """Make windows in folder ``out``; goes on where an earlier run with the same settings stopped.

    Writes ``manifest.json`` and ``shard-NNNNN.safetensors``, see `edmp.dynamics.draws`.

    Args:
        out: folder, made if missing.
        settings: what to make.
        workers: processes; all cores if not given.
        max_seconds: stop after this time, with the shards finished by then [s].
        simulator: what moves the arms, a function of a module.
        simulator_name: what the manifest calls it.

    Returns:
        The path of the manifest.

    Raises:
        InvalidInputError: settings that make no sense, or other than those of the data already there.
        UnknownNameError: no such robot.
        EdmpError: nearly all arms leave their limits.
    """
    from edmp.dynamics.motions import planned_pool
    from edmp.learning.progress import trajectory_progress
    from edmp.robots import load_robot

    if workers is not None and workers < 1:
        raise InvalidInputError(f"workers must be at least 1, got {workers}")
    robot, out = load_robot(settings.robot), Path(out)
    manifest = _open_manifest(out, settings, simulator_name)
    if MOTIONS in settings.excitations:
        planned_pool(out, robot, settings.pool, settings.seed)
    done: dict[str, Any] = manifest["shards"]
    shards = -(-settings.count // settings.windows_per_shard)
    todo = [k for k in range(shards) if str(k) not in done]
    workers = workers or len(os.sched_getaffinity(0))
    deadline = time.monotonic() + max_seconds if max_seconds else float("inf")
    with trajectory_progress(settings.count) as show, shard_pool(workers, out) as pool:
        show(windows_in(manifest))
        running = {pool.submit(_make_shard, str(out), settings, k, simulator) for k in todo[:workers]}
        waiting = iter(todo[workers:])
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                shard, facts = future.result()
                done[str(shard)] = facts
                write_json(out / "manifest.json", manifest)
                show(windows_in(manifest))
                following = next(waiting, None)
                if following is not None and time.monotonic() < deadline:
                    running.add(pool.submit(_make_shard, str(out), settings, following, simulator))
    return out / "manifest.json"


def windows_in(manifest: Mapping[str, Any]) -> int:
    """Windows in the finished shards."""
    return sum(shard["windows"] for shard in manifest["shards"].values())


def share_kept(manifest: Mapping[str, Any]) -> float:
    """Of all windows that were simulated, the share in which the arm stayed within its limits."""
    return windows_in(manifest) / max(1, sum(shard["drawn"] for shard in manifest["shards"].values()))


def _open_manifest(out: Path, settings: WindowSettings, simulator: str) -> dict[str, Any]:
    """The manifest of the folder, made if there is none; `InvalidInputError` names the settings that differ."""
    out.mkdir(parents=True, exist_ok=True)
    wanted = asdict(settings) | {"simulator": simulator}
    wanted |= {name: list(wanted[name]) for name in ("excitations", "bands")}
    path = out / "manifest.json"
    if not path.exists():
        manifest: dict[str, Any] = {"version": MANIFEST_VERSION, "settings": wanted, "shards": {}}
        write_json(path, manifest)
        return manifest
    root = read_json(path, "manifest")
    try:
        before = root["settings"].keys_plain()
        for _, shard in root["shards"].items():
            shard["windows"].integer()
            shard["drawn"].integer()
    except FileFormatError as error:
        raise FileFormatError(f"{error}: not a manifest of edmp dynamics generate; choose another folder") from None
    manifest = root.keys_plain()
    differ = sorted(name for name in wanted if name != "count" and before.get(name) != wanted[name])
    if differ:
        was = ", ".join(f"{name}={before.get(name)!r}" for name in differ)
        raise InvalidInputError(f"{out} holds data made with other settings ({was}); choose another folder")
    manifest["settings"] = wanted
    return manifest


def _make_shard(out: str, settings: WindowSettings, shard: int, simulator: Simulator) -> tuple[int, dict[str, Any]]:
    """Make one shard file; runs in a worker process."""
    from edmp.robots import load_robot

    begin = time.monotonic()
    robot, (kind, band) = load_robot(settings.robot), settings.kind_of(shard)
    wanted = min(settings.windows_per_shard, settings.count - shard * settings.windows_per_shard)
    draw = drawing(robot, kind, band, settings.distribution, folder=Path(out), pool=settings.pool, seed=settings.seed)
    kept: list[dict[str, Any]] = []
    made, tried = 0, 0
    while made < wanted:
        if tried > _BARREN * settings.windows_per_shard:
            raise EdmpError(f"shard {shard}: {made} of {tried} arms stayed within their limits; no use going on")
        moved = simulator(draw(wanted - made, (settings.seed, shard, tried)))
        inside = moved.within_limits()
        kept.append(columns(moved, inside))
        tried, made = tried + len(inside), made + int(inside.sum())
    about: dict[str, Any] = {
        "robot": settings.robot,
        "excitation": kind,
        "band": band,
        "distribution": settings.distribution,
    }
    about |= {"dt": moved.draw.dt, "seed": settings.seed, "shard": shard}
    first = shard * settings.windows_per_shard
    write_shard(Path(out) / f"shard-{shard:05d}.safetensors", kept, first_arm=first, about=about)
    return shard, {"windows": made, "drawn": tried, "seconds": round(time.monotonic() - begin, 1)}
