"""Weights files: round trip, and every way a file can be wrong."""

import dataclasses
import logging

import numpy as np
import pytest
import safetensors.torch
import torch

from edmp.baselines.edmp_paper.ddpm import DdpmPrior
from edmp.baselines.edmp_paper.unet import UnetConfig, UnetNetwork
from edmp.errors import FileFormatError, InvalidInputError, UnknownNameError
from edmp.learning.card import Card, read_card, save_network
from edmp.prior import checkpoint
from edmp.prior.base import Context
from edmp.prior.checkpoint import default_prior, load_network, load_prior, prior_info
from edmp.prior.mlp import MlpConfig, MlpNetwork, MlpPrior
from edmp.prior.process import ProcessPrior

CONFIG = MlpConfig(width=128, depth=1, cond_width=16)


def make_card(robot, config=CONFIG, architecture="mlp"):
    return Card(
        architecture=architecture,
        config=dataclasses.asdict(config),
        robot=robot.name,
        dof=robot.dof,
        lower=tuple(map(float, robot.limits.lower)),
        upper=tuple(map(float, robot.limits.upper)),
        data={"seed": 1, "reversible": True},
        seed=5,
        command="edmp train data",
        metrics={"validation_loss": 0.25, "steps": 10},
    )


@pytest.fixture
def weights(tmp_path, robot):
    torch.manual_seed(0)
    network = MlpNetwork(CONFIG, 7)
    torch.nn.init.normal_(network.write.weight)
    network.noise_scale.copy_(torch.rand(98) + 0.1)
    path = tmp_path / "weights.safetensors"
    save_network(path, network, make_card(robot), half=False)
    return path, network


def test_round_trip(weights, robot, generator):
    path, network = weights
    prior = load_prior(path, robot)
    assert isinstance(prior, MlpPrior)
    assert read_card(path) == make_card(robot)
    x = prior.noise(3, generator=generator)
    start, goal = torch.zeros(7), torch.ones(7)
    expected = MlpPrior.of(network, robot_name="panda").denoise(x, 0.5, Context(start, goal))
    assert torch.equal(prior.denoise(x, 0.5, Context(start, goal)), expected)
    assert torch.equal(prior.noise_scale, network.noise_scale)


def test_half_precision_keeps_statistics_exact(weights, tmp_path, robot, generator):
    path, network = weights
    save_network(tmp_path / "half.safetensors", network, make_card(robot), half=True)
    half, full = load_prior(tmp_path / "half.safetensors", robot), load_prior(path, robot)
    assert torch.equal(half.noise_scale, full.noise_scale)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.7 * path.stat().st_size
    x = full.noise(3, generator=generator)
    a, b = (prior.denoise(x, 0.5, Context(torch.zeros(7), torch.ones(7))) for prior in (half, full))
    torch.testing.assert_close(a, b, rtol=0.01, atol=0.01)


def test_unet_round_trip(tmp_path, robot):
    config = UnetConfig(widths=(16, 32), num_timesteps=5, num_waypoints=20)
    path = tmp_path / "unet.safetensors"
    save_network(path, UnetNetwork(config, 7), make_card(robot, config, "unet"))
    prior = load_prior(path, robot)
    assert isinstance(prior, DdpmPrior)
    assert prior.network.config == config
    assert prior.schedule.num_timesteps == 5


def test_info(weights):
    info = prior_info(weights[0])
    assert info["num_parameters"] == sum(p.numel() for p in weights[1].parameters())
    assert (info["architecture"], info["seed"], info["command"]) == ("mlp", 5, "edmp train data")
    assert info["size_bytes"] == weights[0].stat().st_size


def damage(path, kind):
    content = path.read_bytes()
    if kind == "truncated in the tensors":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "truncated in the header":
        path.write_bytes(content[:100])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "pickle":
        torch.save({"a": torch.zeros(1)}, path)
    elif kind == "text":
        path.write_text("hello, these are no weights at all")
    elif kind == "lfs":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated in the tensors", "truncated"),
        ("truncated in the header", "truncated"),
        ("empty", "is empty"),
        ("pickle", "unpickling runs code"),
        ("text", "not a safetensors file"),
        ("lfs", "Git LFS"),
    ],
)
def test_damaged_and_foreign_files_say_what_is_wrong(weights, robot, kind, message):
    path, _ = weights
    damage(path, kind)
    with pytest.raises(FileFormatError, match=message) as caught:
        load_prior(path, robot)
    assert str(path) in str(caught.value)


def test_a_safetensors_file_of_others(tmp_path, robot):
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(FileFormatError, match="not one written by edmp"):
        load_prior(path, robot)
    safetensors.torch.save_file({"a": torch.zeros(1)}, path, metadata={"edmp": "[1, 2"})
    with pytest.raises(FileFormatError, match="description of the network"):
        load_prior(path, robot)
    safetensors.torch.save_file({"a": torch.zeros(1)}, path, metadata={"edmp": "[1, 2]"})
    with pytest.raises(FileFormatError, match="description of the network"):
        load_prior(path, robot)


def test_card_and_tensors_must_agree(weights, tmp_path, robot):
    _, network = weights
    path = tmp_path / "wrong.safetensors"
    save_network(path, network, make_card(robot, dataclasses.replace(CONFIG, width=64)))
    with pytest.raises(FileFormatError, match="do not fit"):
        load_network(path)
    save_network(path, network, make_card(robot, architecture="transformer"))
    with pytest.raises(FileFormatError, match="valid: mlp, scene, unet"):
        load_network(path)
    save_network(path, network, dataclasses.replace(make_card(robot), config={"wdith": 3}))
    with pytest.raises(FileFormatError, match="wdith"):
        load_network(path)
    save_network(path, network, dataclasses.replace(make_card(robot), version=99))
    with pytest.raises(FileFormatError, match="upgrade edmp"):
        load_network(path)
    network.noise_scale[3] = np.nan
    save_network(path, network, make_card(robot))
    with pytest.raises(FileFormatError, match="not finite: noise_scale"):
        load_network(path)


def test_another_robot_is_refused(weights, make_robot):
    with pytest.raises(InvalidInputError, match="'panda' with 7 joints, not for 'ur5' with 6"):
        load_prior(weights[0], make_robot("ur5", dof=6))
    with pytest.raises(InvalidInputError, match="not for 'xarm7' with 7"):
        load_prior(weights[0], make_robot("xarm7"))


def test_names(tmp_path, robot, monkeypatch, weights):
    monkeypatch.setattr(checkpoint, "WEIGHTS_DIR", weights[0].parent)
    assert isinstance(load_prior("process", robot), ProcessPrior)
    assert isinstance(load_prior("weights", robot), MlpPrior)
    with pytest.raises(UnknownNameError, match="Did you mean 'weights'"):
        load_prior("wieghts", robot)
    with pytest.raises(FileFormatError, match="no such file"):
        load_prior(tmp_path / "missing.safetensors", robot)


def test_default_prior_falls_back_with_one_notice(tmp_path, robot, make_robot, monkeypatch, weights, caplog):
    monkeypatch.setattr(checkpoint, "WEIGHTS_DIR", weights[0].parent)
    monkeypatch.setattr(checkpoint, "_noticed", set())
    weights[0].rename(weights[0].with_name("panda.safetensors"))
    with caplog.at_level(logging.WARNING):
        assert isinstance(default_prior(robot), MlpPrior)
        assert not caplog.records
        for _ in range(2):
            assert isinstance(default_prior(make_robot("unheard-of", dof=6)), ProcessPrior)
    assert len(caplog.records) == 1
    assert "unheard-of" in caplog.text
