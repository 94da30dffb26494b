"""Movies show the motion in its own time; traces show how planning went; plots are made in one call."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from plan_cases import failed, solved

import edmp
from edmp.planfile import PlanFile
from edmp.problem import load_example
from edmp.trace import Batch, Trace, load_trace, save_trace
from edmp.trajectory import clamped_spline
from edmp.viz import save_denoising, save_movie, save_plots
from edmp.viz.camera import Camera
from edmp.viz.denoising import Film
from edmp.viz.movie import Clip, ffmpeg, film
from edmp.viz.raster import NumpyRenderer, depth_of
from edmp.viz.staging import Staging
from edmp.viz.subject import subject_of
from edmp.viz.surfaces import tool_positions

PROBLEM = load_example("table")
PLAN = PlanFile(PROBLEM, solved(PROBLEM))


def trace(rng: np.random.Generator, *, count: int = 6) -> Trace:
    """Candidates that come nearer to the straight line from batch to batch; the last two are free after repair."""
    line = np.linspace(PROBLEM.start, np.asarray(PROBLEM.goal), 16)
    batches = []
    for stage, level in (("sample", 5.0), ("sample", 1.0), ("sample", 0.0), ("repair", 5.0)):
        noise = np.zeros((count, 16, 7))
        noise[:, 1:-1] = (0.05 + 0.2 * level * (stage == "sample")) * rng.normal(size=(count, 14, 7))
        noise[count - 1] *= 0.1
        valid = np.arange(count) >= (count if stage == "sample" else count - 2)
        batches.append(Batch(stage, level, (line + noise).astype(np.float32), rng.random(count, np.float32), valid))
    return Trace(PLAN, tuple(batches))


def test_the_frames_follow_the_motion_in_real_time() -> None:
    stage = Staging(subject_of(PLAN), "hulls", azimuth=-0.8, size=(160, 120))
    clip = Clip(fps=10.0, size=(160, 120), speed=2.0)
    times = clip.times(2.0)
    np.testing.assert_allclose(times, np.arange(11) * 0.2)
    done: list[tuple[int, int]] = []
    frames = list(film(stage, clip, NumpyRenderer(1), lambda k, n: done.append((k, n))))
    assert len(frames) == 9 + 2 * 6  # the first and the last stand for 0.6 s
    assert done[-1] == (11, 11)
    shot = stage.motion()
    arms = [arm_mask(stage, shot.camera, q) for q in stage.subject.motions[0].at(times)]
    before = frames[0].astype(float)
    for number, k in ((8, 3), (10, 5), (14, 9)):  # frames 0 to 5 are the start
        changed = np.abs(frames[number] - before).max(axis=2) > 6
        arrived, left = arms[k] & ~arms[0], arms[0] & ~arms[k]
        assert arrived.sum() > 20
        # A white arm before a white wall changes little, and an obstacle may be in front of it.
        elsewhere = changed[~(arms[0] | arms[k])].mean()
        assert changed[arrived].mean() > max(0.3, 5 * elsewhere)
        assert changed[left].mean() > max(0.2, 5 * elsewhere)


def arm_mask(stage: Staging, camera: Camera, q: np.ndarray) -> np.ndarray:
    """Pixels that the arm would cover if it were alone."""
    bodies, X_WB = stage.bodies(q)
    return depth_of(camera, [body.surface.at(X) for body, X in zip(bodies, X_WB, strict=True)]) > 0


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_movies_are_files_that_play(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"motion{suffix}"
    save_movie(PLAN, path, fps=5, size=(97, 72), geometry="hulls", azimuth=-0.8)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    if suffix == ".gif":
        from PIL import Image

        with Image.open(path) as image:
            assert image.size == (97, 72)
            assert sum(_durations(image)) == pytest.approx(2000 + 1200, abs=400)
    else:
        told = subprocess.run([ffmpeg(), "-i", str(path)], capture_output=True, text=True).stderr
        assert "h264" in told
        assert "98x72" in told


def _durations(image: object) -> list[int]:
    durations = []
    for k in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(k)  # type: ignore[attr-defined]
        durations.append(image.info["duration"])  # type: ignore[attr-defined]
    return durations


def test_a_movie_of_nothing_says_why(tmp_path: Path) -> None:
    with pytest.raises(edmp.InvalidInputError, match="no motion to film: nothing was found"):
        save_movie(subject_of(failed(), problem=PROBLEM), tmp_path / "x.gif")
    with pytest.raises(edmp.InvalidInputError, match=r"must end in .mp4 or .gif"):
        save_movie(PLAN, tmp_path / "x.avi")
    with pytest.raises(edmp.InvalidInputError, match="speed"):
        save_movie(PLAN, tmp_path / "x.gif", speed=0.0)
    with pytest.raises(edmp.InvalidInputError, match="no motion 5"):
        save_movie(PLAN, tmp_path / "x.gif", motion=5)
    assert list(tmp_path.iterdir()) == []


def test_without_ffmpeg_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(edmp.MissingDependencyError, match=r"pip install 'edmp\[viz\]'"):
        ffmpeg()


def test_traces_are_kept_whole(tmp_path: Path) -> None:
    written = trace(np.random.default_rng(1))
    save_trace(tmp_path / "trace.npz", written)
    read = load_trace(tmp_path / "trace.npz")
    assert [(b.stage, b.level) for b in read.batches] == [(b.stage, b.level) for b in written.batches]
    for ours, theirs in zip(read.batches, written.batches, strict=True):
        for name in ("control_points", "costs", "valid"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    batch = read.batches[0]
    alone = clamped_spline(batch.control_points[2].astype(float))(np.linspace(0, 1, 9))
    np.testing.assert_allclose(batch.waypoints(9)[2], alone, atol=1e-12)
    (tmp_path / "no.npz").write_bytes(b"no")
    with pytest.raises(edmp.FileFormatError, match=r"no\.npz"):
        load_trace(tmp_path / "no.npz")
    with pytest.raises(edmp.FileFormatError, match="no such trace"):
        load_trace(tmp_path / "missing.npz")


def test_the_last_round_is_the_one_shown() -> None:
    one = trace(np.random.default_rng(2))
    twice = Trace(one.plan, one.batches + one.batches)
    assert [b.level for b in twice.round()] == [b.level for b in one.batches]
    assert twice.round()[0] is one.batches[0]


def test_the_planner_tells_of_every_step() -> None:
    from edmp.planner import Planner, PlannerSettings, record_plan

    planner = Planner(PROBLEM.robot, settings=PlannerSettings(num_seeds=16, first_look=None))
    seen = record_plan(planner, PROBLEM.scene, PROBLEM.start, PROBLEM.goal, seed=3)
    plain = planner.plan(PROBLEM.scene, PROBLEM.start, PROBLEM.goal, seed=3)
    assert seen.plan.result.solved
    np.testing.assert_array_equal(seen.plan.result.path, plain.path)  # watching changes nothing
    levels = [batch.level for batch in seen.batches if batch.stage == "sample"]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] == 0.0
    assert len(levels) == planner.settings.sampler_steps + 1
    clean = seen.batches[levels.index(0.0)]
    assert len(clean) == 16
    for batch in seen.batches:
        assert batch.control_points.shape[1:] == (16, 7)
        assert len(batch.costs) == len(batch.valid) == len(batch)
        np.testing.assert_allclose(batch.control_points[:, 0], np.tile(PROBLEM.start, (len(batch), 1)), atol=1e-6)
    polished = [batch for batch in seen.batches if batch.stage == "polish"]
    assert polished
    assert all(batch.valid.all() for batch in polished)


def test_denoising_is_drawn_where_the_tools_go(tmp_path: Path) -> None:
    film = Film(trace(np.random.default_rng(4)), Staging(subject_of(PLAN), "hulls", azimuth=-0.8, size=(160, 120)))
    assert film.winner == 5  # the free one nearest to the straight plan
    assert film.chosen(4) == [0, 1, 2, 3]
    assert film.chosen(3)[-1] == 3
    tool = tool_positions(PROBLEM.robot, np.stack([PROBLEM.start, np.asarray(PROBLEM.goal)]))
    ends = film.shot.camera.project(tool)[0]
    for pixels in film.pixels:
        np.testing.assert_allclose(pixels[:, 0], np.tile(ends[0], (6, 1)), atol=1e-3)
        np.testing.assert_allclose(pixels[:, -1], np.tile(ends[1], (6, 1)), atol=1e-3)
    save_denoising(film.trace, tmp_path / "strip.png", panels=3)
    save_denoising(film.trace, tmp_path / "noise.gif", fps=4, size=(96, 72))
    assert {file.name for file in tmp_path.iterdir()} == {"strip.png", "noise.gif"}
    with pytest.raises(edmp.InvalidInputError, match="panels"):
        save_denoising(film.trace, tmp_path / "x.png", panels=1)
    with pytest.raises(edmp.InvalidInputError, match="nothing was recorded"):
        save_denoising(Trace(PLAN, ()), tmp_path / "x.png")


def test_plots_come_from_plans_and_traces(tmp_path: Path) -> None:
    save_plots(PLAN, tmp_path / "plan.png")
    save_trace(tmp_path / "trace.npz", trace(np.random.default_rng(5)))
    save_plots(tmp_path / "trace.npz", tmp_path / "trace.pdf")
    from matplotlib.image import imread

    image = imread(tmp_path / "plan.png")
    assert (image[..., :3].min(axis=2) < 0.6).mean() > 0.005
    with pytest.raises(edmp.InvalidInputError, match="no motion to plot: nothing was found"):
        save_plots(subject_of(failed(), problem=PROBLEM), tmp_path / "x.png")
