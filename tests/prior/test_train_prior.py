"""Training: it learns, resumes exactly, picks up new shards, and says what is wrong."""

import csv
import itertools
import json
import math
import os
import signal
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch

from edmp.data.export import export_prior
from edmp.data.train import train
from edmp.data.training_set import TrainingSet, is_validation
from edmp.errors import EdmpError, FileFormatError, InvalidInputError, UnknownNameError
from edmp.learning import training
from edmp.learning.card import read_card
from edmp.learning.edm import karras_sigmas, sample_dpmpp_2m
from edmp.learning.tensors import read_tensors, write_tensors
from edmp.learning.training import CHECKPOINT_NAME, TrainSettings
from edmp.prior.base import Context
from edmp.prior.checkpoint import load_prior

TINY = {"width": 64, "depth": 2, "cond_width": 32}


def settings(**changes):
    defaults = {
        "max_steps": 40,
        "batch_size": 64,
        "warmup_steps": 10,
        "log_every": 10,
        "validate_every": 20,
        "validation_fraction": 0.1,
        "config": TINY,
        "progress": False,
    }
    return TrainSettings(**{**defaults, **changes})


def test_learns_and_ships(data_dir, tmp_path, robot, generator):
    noisy = {**TINY, "p_mean": 1.5, "p_std": 1.0}  # noise levels at which start and goal matter most
    longer = settings(max_steps=400, learning_rate=3e-3, config=noisy)
    report = train(data_dir, tmp_path / "run", robot=robot, settings=longer, command="edmp train x")
    assert not report.interrupted
    rows = list(csv.DictReader((tmp_path / "run" / "loss.csv").open()))
    losses = [float(row["loss"]) for row in rows]
    assert len(losses) == 40
    assert losses[-1] < 0.85 * losses[0]
    assert float(rows[-1]["validation_loss"]) < 0.9  # 1 is the best linear denoiser
    assert (tmp_path / "run" / "loss.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "run" / "prior.md").read_text()
    assert "edmp train x" in text
    assert "validation_loss" in text
    card = read_card(report.file)
    assert card.data["shards_read"] == 2
    assert card.metrics["steps"] == 400
    prior = load_prior(report.file, robot)
    sigmas = karras_sigmas(8, sigma_min=prior.sigma_min, sigma_max=prior.sigma_max)
    middle = torch.tensor((robot.limits.lower + robot.limits.upper) / 2).float()
    half = torch.tensor((robot.limits.upper - robot.limits.lower) / 2).float()

    def bend(reach):
        start, goal = middle - reach * half, middle + reach * half
        x = prior.noise(64, sigma=prior.sigma_max, generator=generator)
        x = sample_dpmpp_2m(prior.bind(Context(start, goal)), x, sigmas)
        return prior.spline.control_points(x, start, goal)[:, 7:9].mean(dim=(0, 1)) - middle

    far, near = bend(0.8), bend(0.2)  # the data bend joints 2 and 4 down and joint 6 up, the more the further it is
    assert far[1] < near[1] - 0.1
    assert far[3] < near[3] - 0.1
    assert far[5] > near[5] + 0.05


def test_trained_weights_are_trained_on_with_other_data(data_dir, tmp_path, robot, add_shard, make_robot):
    first = train(data_dir, tmp_path / "first", robot=robot, settings=settings())
    add_shard(data_dir, 7, 900, robot)
    still = settings(config={}, max_steps=1, learning_rate=1e-9)
    report = train(data_dir, tmp_path / "on", robot=robot, settings=still, weights=first.file)
    (before, _), (after, header) = read_tensors(first.file), read_tensors(report.file)
    assert before.keys() == after.keys()
    for name, tensor in before.items():  # the normalisation too, which data of its own would have changed
        assert torch.allclose(tensor.float(), after[name].float(), atol=1e-3), name
    assert header["origin"].value.startswith("prior of ")
    assert header["origin"].value.endswith(", 40 steps")
    assert header["metrics"]["steps"].value == 1
    assert "Comes from: prior of " in report.file.with_suffix(".md").read_text()

    on = settings(config={})
    refused = [
        ({"robot": make_robot("ur5", 6)}, on, "is for 'panda' with 7 joints, not for 'ur5' with 6"),
        ({"arch": "unet"}, on, "is of architecture 'mlp', not 'unet'"),
        ({}, settings(), r"has its sizes: give no config \(width, depth, cond_width\)"),
    ]
    for changes, chosen, message in refused:
        call = {"robot": robot, "settings": chosen, "weights": first.file, **changes}
        with pytest.raises(InvalidInputError, match=message):
            train(data_dir, tmp_path / "refused", **call)
    once = tmp_path / "once.safetensors"
    tensors, header = read_tensors(first.file)
    write_tensors(once, tensors, {**header.keys_plain(), "one_call": True, "origin": "panda, consistency"})
    with pytest.raises(InvalidInputError, match=r"tuned to need one call.*\(panda, consistency\)"):
        train(data_dir, tmp_path / "refused", robot=robot, settings=on, weights=once)


def test_resuming_after_an_interrupt_gives_the_same_weights(data_dir, tmp_path, robot):
    def interrupt(step, loss):
        if step == 17:
            os.kill(os.getpid(), signal.SIGINT)

    train(data_dir, tmp_path / "once", robot=robot, settings=settings())
    first = train(data_dir, tmp_path / "twice", robot=robot, settings=settings(), on_step=interrupt)
    assert first.interrupted
    assert first.file is None
    assert first.metrics["steps"] == 17
    second = train(data_dir, tmp_path / "twice", robot=robot, settings=settings())
    assert not second.interrupted
    once, twice = (read_tensors(tmp_path / name / CHECKPOINT_NAME)[0] for name in ("once", "twice"))
    assert once.keys() == twice.keys()
    assert all(torch.equal(once[name], twice[name]) for name in once)
    rows = [list(csv.DictReader((tmp_path / name / "loss.csv").open())) for name in ("once", "twice")]
    assert [row["loss"] for row in rows[0]] == [row["loss"] for row in rows[1]]


def test_a_finished_run_may_leave_a_small_checkpoint_and_go_on_from_it(data_dir, tmp_path, robot):
    train(data_dir, tmp_path / "whole", robot=robot, settings=settings(max_steps=20))
    report = train(data_dir, tmp_path / "small", robot=robot, settings=settings(max_steps=20, compact=True))
    whole, small = (tmp_path / name / CHECKPOINT_NAME for name in ("whole", "small"))
    assert small.stat().st_size < 0.5 * whole.stat().st_size
    ships = [read_tensors(tmp_path / name / "prior.safetensors")[0] for name in ("whole", "small")]
    differences = [(ships[0][name].float() - ships[1][name].float()).abs().max() for name in ships[0]]
    assert max(differences) < 1e-2
    longer = train(data_dir, tmp_path / "small", robot=robot, settings=settings(max_steps=60))
    assert longer.metrics["steps"] == 60
    assert longer.metrics["validation_loss"] < report.metrics["validation_loss"]
    assert read_tensors(small)[1]["began"].integer() == 20  # it warmed up again: Adam knew nothing


def test_a_time_box_ends_annealed(data_dir, tmp_path, robot, monkeypatch):
    clock = itertools.count(0.0, 0.05)  # [s] at each look, whatever the machine is busy with
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    box = settings(max_steps=None, max_seconds=1.5, checkpoint_seconds=0.3)
    report = train(data_dir, tmp_path / "run", robot=robot, settings=box)
    assert not report.interrupted
    assert report.metrics["training_seconds"] == pytest.approx(1.5, abs=0.1)
    assert 10 < report.metrics["steps"] <= 30
    again = train(data_dir, tmp_path / "run", robot=robot, settings=box)  # nothing left to do
    assert again.metrics["steps"] == report.metrics["steps"]
    assert box.learning_rate_at(10_000, box.fraction_done(10_000, 1.5)) == pytest.approx(1e-5)
    both = settings(max_steps=100, max_seconds=10.0)
    assert both.fraction_done(50, 1.0) == 0.5
    assert both.fraction_done(50, 9.0) == 0.9


def test_new_shards_are_picked_up_while_training(data_dir, tmp_path, robot, add_shard):
    def grow(step, loss):
        if step == 5:
            (data_dir / "shard-00007.safetensors").write_bytes(b"half a shard")
            add_shard(data_dir, 3, 200, robot)

    report = train(data_dir, tmp_path / "run", robot=robot, settings=settings(rescan_seconds=0.0), on_step=grow)
    total = report.metrics["num_training_trajectories"] + report.metrics["num_validation_trajectories"]
    assert total == 1400


def test_unet_trains_from_the_same_data(data_dir, tmp_path, robot):
    config = {"widths": (16, 32), "num_timesteps": 10, "num_waypoints": 20}
    report = train(data_dir, tmp_path / "run", robot=robot, arch="unet", settings=settings(max_steps=12, config=config))
    prior = load_prior(report.file, robot)
    paths = prior.sample(2, torch.zeros(7), torch.ones(7), generator=torch.Generator().manual_seed(0))
    assert paths.shape == (2, 20, 7)
    resumed = train(
        data_dir, tmp_path / "run", robot=robot, arch="unet", settings=settings(max_steps=14, config=config)
    )
    assert resumed.metrics["steps"] == 14


def test_split_is_by_scene_and_reversal_is_allowed_by_the_manifest(data_dir, generator):
    scene = torch.arange(100_000)
    held_out = is_validation(scene, 0.02)
    assert torch.equal(held_out, is_validation(scene, 0.02))
    assert float(held_out.float().mean()) == pytest.approx(0.02, rel=0.05)
    data = TrainingSet(data_dir, validation_fraction=0.0)
    assert len(data.validation) == 0
    reversed_share = starts_of(data, generator)
    assert 0.4 < reversed_share < 0.6
    manifest = json.loads((data_dir / "manifest.json").read_text())
    (data_dir / "manifest.json").write_text(json.dumps({**manifest, "reversible": False}))
    assert starts_of(TrainingSet(data_dir, validation_fraction=0.0), generator) == 0


def starts_of(data, generator):
    """Share of a batch that is not found forwards in the data."""
    batch = data.batch(400, generator)
    known = data.train.flatten(1).double()
    forwards = (torch.cdist(batch.flatten(1).double(), known) < 1e-3).any(dim=1)
    backwards = (torch.cdist(batch.flip(1).flatten(1).double(), known) < 1e-3).any(dim=1)
    assert (forwards | backwards).all()
    return 1 - float(forwards.float().mean())


def test_bad_data_is_named(data_dir, tmp_path, robot, make_robot):
    def attempt(folder, **options):
        train(folder, tmp_path / "run", **{"robot": robot, "settings": settings(max_steps=1), **options})

    with pytest.raises(FileFormatError, match=r"no manifest\.json"):
        attempt(tmp_path)
    with pytest.raises(InvalidInputError, match="of 'panda' with 7 joints, not of 'ur5' with 6"):
        attempt(data_dir, robot=make_robot("ur5", dof=6))
    with pytest.raises(UnknownNameError, match="mlp, scene, unet"):
        attempt(data_dir, arch="dit")
    with pytest.raises(InvalidInputError, match="it has width, depth"):
        attempt(data_dir, settings=settings(config={"wdith": 1}))
    (data_dir / "shard-00000.safetensors").write_bytes(b"x" * 50)
    with pytest.raises(FileFormatError, match=r"shard-00000\.safetensors: not a shard"):
        attempt(data_dir)
    safetensors.torch.save_file({"control_points": torch.zeros(2, 16, 7)}, data_dir / "shard-00000.safetensors")
    with pytest.raises(FileFormatError, match="has no tensor scene"):
        attempt(data_dir)
    with pytest.raises(InvalidInputError, match="needs an end"):
        TrainSettings()


def test_a_run_of_before_a_setting_was_known_goes_on(data_dir, tmp_path, robot):
    train(data_dir, tmp_path / "run", robot=robot, settings=settings(max_steps=2))
    tensors, header = read_tensors(tmp_path / "run" / CHECKPOINT_NAME)
    metadata = header.plain()
    del metadata["card"]["config"]["told_step"]
    write_tensors(tmp_path / "run" / CHECKPOINT_NAME, tensors, metadata)
    assert train(data_dir, tmp_path / "run", robot=robot, settings=settings(max_steps=3)).metrics["steps"] == 3


def test_a_run_folder_of_another_training_is_refused(data_dir, tmp_path, robot):
    train(data_dir, tmp_path / "run", robot=robot, settings=settings(max_steps=2))
    other = settings(max_steps=4, config={**TINY, "width": 32})
    with pytest.raises(InvalidInputError, match="another folder or resume=False"):
        train(data_dir, tmp_path / "run", robot=robot, settings=other)
    assert not train(data_dir, tmp_path / "run", robot=robot, settings=other, resume=False).interrupted
    (tmp_path / "other").mkdir()
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "other" / CHECKPOINT_NAME, {"edmp": "{}"})
    with pytest.raises(FileFormatError, match="not a training checkpoint"):
        export_prior(tmp_path / "other", tmp_path / "prior.safetensors")


def test_divergence_is_an_error(data_dir, tmp_path, robot):
    wild = settings(learning_rate=1e30, grad_clip=math.inf, warmup_steps=1)
    with pytest.raises(EdmpError, match="diverged"):
        train(data_dir, tmp_path / "run", robot=robot, settings=wild)
