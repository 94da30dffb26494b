"""Ensembles as data: schedules, rows, names, files."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
import yaml
from cost_cases import random_motion

from edmp.costs import (
    Constant,
    Cost,
    Ensemble,
    IntersectionVolume,
    Linear,
    Member,
    Ramp,
    Smoothness,
    SphereClearance,
    SweptVolume,
    Varying,
    World,
    cost_by_name,
    cost_names,
    ensemble_by_name,
    make_cost,
    register_cost,
)
from edmp.errors import InvalidInputError, UnknownNameError
from edmp.scenes import Scene

MIXED = Ensemble(
    (
        Member(SphereClearance(), Constant(0.02), num_seeds=2),
        Member(IntersectionVolume(), Linear(0.01, 0.15), scale=Varying(), num_seeds=3),
        Member(SphereClearance(), Ramp(20, 150, high=0.05), scale=Constant(0.3), normalise=True, num_seeds=1),
        Member(SweptVolume(), Constant(0.05), Ramp(10, 40, high=0.4, cutoff=20), Constant(0.1), True, 2),
        Member(Smoothness(), scale=Constant(0.01), num_seeds=1),
    )
)


def at(index: int) -> float:
    """``remaining`` at EDMP's index t - 1."""
    return index / 255


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Constant(0.3), {0: 0.3, 254: 0.3}),
        (Linear(0.01, 0.15), {0: 0.01, 127: 0.08, 254: 0.15}),
        (Ramp(20, 150, high=0.4), {0: 0, 19: 0, 20: 0, 85: 0.2, 150: 0.4, 254: 0.4}),
        (Ramp(10, 40, high=0.4, cutoff=20), {10: 0, 19: 0, 20: 0.4 / 3, 25: 0.2, 40: 0.4, 200: 0.4}),
        (Ramp(80, 80, high=0.4), {0: 0, 79: 0, 80: 0.4, 254: 0.4}),
        (Varying(), {0: 1.4, 254: 1.4 + 254 / 255}),
    ],
)
def test_schedules(schedule, values) -> None:
    for index, value in values.items():
        assert schedule(at(index)) == pytest.approx(value, abs=1e-9)
    assert np.isfinite(schedule(1.0))


def test_every_index_survives_the_way_through_remaining() -> None:
    for first in range(255):
        step = Ramp(first, first, high=1.0)
        assert step(at(first)) == 1.0
        assert first == 0 or step(at(first - 1)) == 0.0


@pytest.mark.parametrize("remaining", [0.0, at(100), 1.0])
def test_row_equals_its_member_alone(world: World, remaining: float) -> None:
    q = random_motion(world.robot, np.random.default_rng(0), batch=MIXED.num_seeds, waypoints=12)
    value, gradient = MIXED.value_and_gradient(world, q, remaining)
    first = 0
    for member in MIXED.members:
        rows = slice(first, first + member.num_seeds)
        alone, alone_gradient = Ensemble((member,)).value_and_gradient(world, q[rows], remaining)
        assert torch.equal(value[rows], alone)
        assert torch.equal(gradient[rows], alone_gradient)
        first += member.num_seeds
    assert first == MIXED.num_seeds == len(MIXED.rows)
    assert (value > 0).all()


def test_any_subset_of_rows(world: World) -> None:
    q = random_motion(world.robot, np.random.default_rng(0), batch=MIXED.num_seeds, waypoints=12)
    value, gradient = MIXED.value_and_gradient(world, q, 0.5)
    keep = torch.tensor([8, 0, 3, 5, 6])
    some, some_gradient = MIXED.value_and_gradient(world, q[keep], 0.5, rows=MIXED.rows[keep])
    assert torch.equal(some, value[keep])
    assert torch.equal(some_gradient, gradient[keep])
    with pytest.raises(InvalidInputError, match="9 rows"):
        MIXED.value_and_gradient(world, q[:4], 0.5)


def test_normalised_gradients_have_the_length_of_their_scale(world: World) -> None:
    q = random_motion(world.robot, np.random.default_rng(0), batch=MIXED.num_seeds, waypoints=12)
    _, gradient = MIXED.value_and_gradient(world, q, 1.0)
    norms = gradient.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms[5:8], torch.tensor([0.3, 0.1, 0.1]))


@pytest.mark.parametrize("as_published", [False, True])
def test_zero_gradients_stay_zero(panda, as_published: bool) -> None:
    q = torch.tensor(panda.home, dtype=torch.float32).expand(2, 4, 7)
    members = (Member(SweptVolume(), normalise=True, num_seeds=2),)
    value, gradient = Ensemble(members, as_published=as_published).value_and_gradient(World.of(panda, Scene()), q, 1.0)
    assert torch.equal(value, torch.zeros(2))
    assert torch.equal(gradient, torch.zeros(2, 4, 7))


def test_as_published_divides_by_the_norm_of_the_batch(world: World) -> None:
    q = random_motion(world.robot, np.random.default_rng(0), batch=4, waypoints=12)
    member = Member(IntersectionVolume(), Constant(0.1), normalise=True, num_seeds=4)
    _, gradient = Ensemble((member,), as_published=True).value_and_gradient(world, q, 1.0)
    assert gradient.norm().item() == pytest.approx(1.0, rel=1e-5)


def test_edmp12_is_the_published_table() -> None:
    ensemble = ensemble_by_name("edmp12")
    assert ensemble.num_seeds == 120
    rows = [
        (m.cost.name, m.clearance(at(254)), m.expansion(at(100)), m.expansion(at(254)), m.scale(0.0), m.normalise)
        for m in ensemble.members
    ]
    ramp = pytest.approx(0.4 * 80 / 130)
    assert rows == [
        *(("intersection_volume", pytest.approx(c), 0, 0, 1.4, False) for c in (0.10, 0.05, 0.01, 0.15, 0.15)),
        ("swept_volume", 0.06, 0.4, 0.4, 1.4, False),
        *(("swept_volume", c, ramp, 0.4, s, True) for c, s in ((0, 0.05), (0, 0.01), (0.02, 0.1), (0.1, 0.1))),
        *(("swept_volume", 0.05, 0.4, 0.4, s, True) for s in (0.05, 0.1)),
    ]
    assert ensemble.members[4].clearance(0.0) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "ensemble", [MIXED, ensemble_by_name("edmp12"), ensemble_by_name("default")], ids=lambda e: e.name
)
def test_yaml_round_trip(ensemble: Ensemble) -> None:
    assert Ensemble.from_dict(yaml.safe_load(yaml.safe_dump(ensemble.to_dict()))) == ensemble


def test_short_forms() -> None:
    ensemble = Ensemble.from_dict({"members": [{"cost": "sphere_clearance", "clearance": 0.02, "scale": "varying"}]})
    assert ensemble == Ensemble((Member("sphere_clearance", 0.02, scale=Varying()),))


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        ({"members": [], "nmae": "x"}, UnknownNameError, "name"),
        ({"members": []}, InvalidInputError, "at least one"),
        ({}, InvalidInputError, "members"),
        ({"members": [{"cost": "sphere_clearence"}]}, UnknownNameError, "sphere_clearance"),
        ({"members": [{"cost": "swept_volume", "clearence": 1}]}, UnknownNameError, "clearance"),
        ({"members": [{"cost": {"name": "smoothness", "snap": 1}}]}, UnknownNameError, "jerk"),
        ({"members": [{"cost": {"name": "goal_pose"}}]}, InvalidInputError, "position"),
        ({"members": [{"cost": "swept_volume", "scale": {"kind": "wobbly"}}]}, UnknownNameError, "varying"),
        ({"members": [{"cost": "swept_volume", "scale": {"kind": "ramp", "last": "x"}}]}, InvalidInputError, "last"),
        ({"members": [{"cost": "swept_volume", "num_seeds": 0}]}, InvalidInputError, "seeds"),
        ({"members": [{"cost": "swept_volume", "clearance": float("nan")}]}, InvalidInputError, "finite"),
        ({"members": [{"clearance": 0.1}]}, InvalidInputError, "cost"),
    ],
)
def test_bad_data_is_named(data, error, match: str) -> None:
    with pytest.raises(error, match=match):
        Ensemble.from_dict(data)


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match="intersection_volume"):
        cost_by_name("nonsense")
    with pytest.raises(UnknownNameError, match="edmp12"):
        ensemble_by_name("nonsense")
    assert set(cost_names()) >= {
        "goal_pose", "intersection_volume", "joint_limits", "self_collision", "smoothness", "sphere_clearance",
        "swept_volume",
    }  # fmt: skip


@pytest.mark.parametrize("num_seeds", [1, 3, 7, 64, 120, 121])
def test_with_seeds(num_seeds: int) -> None:
    ensemble = ensemble_by_name("edmp12").with_seeds(num_seeds)
    assert ensemble.num_seeds == num_seeds
    counts = [member.num_seeds for member in ensemble.members]
    assert max(counts) - min(counts) <= 1
    assert len(counts) == min(num_seeds, 12)


def test_some_members_of_a_preset() -> None:
    whole = ensemble_by_name("default")
    some = ensemble_by_name("default@2+0+2")
    assert some.members == (whole.members[2], whole.members[0])
    assert some.name == "default@2+0+2"
    assert ensemble_by_name("default@0+1+2+3").members == whole.members
    for name in ("default@4", "default@", "default@-1"):
        with pytest.raises(UnknownNameError, match="0, 1, 2, 3"):
            ensemble_by_name(name)
    with pytest.raises(UnknownNameError, match="edmp12"):
        ensemble_by_name("nonsense@0")


def test_registration_by_decorator_and_by_entry_point(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    @register_cost
    class FirstJoint(Cost):
        name: ClassVar[str] = "test_first_joint"

        def __call__(self, motion, scene, margins):
            return motion.q[..., 0].square().sum(1)

    assert cost_by_name("test_first_joint") is FirstJoint
    assert register_cost(FirstJoint) is FirstJoint
    q = random_motion(world.robot, np.random.default_rng(0), batch=3, waypoints=4)
    _, gradient = Ensemble((Member("test_first_joint", num_seeds=3),)).value_and_gradient(world, q, 0.5)
    torch.testing.assert_close(gradient[..., 0], 2 * q[..., 0])
    assert not gradient[..., 1:].any()
    with pytest.raises(InvalidInputError, match="two costs"):
        register_cost(type("Impostor", (Cost,), {"name": "test_first_joint"}))
    with pytest.raises(InvalidInputError, match="name"):
        register_cost(type("Nameless", (Cost,), {}))

    class Installed(FirstJoint):
        name: ClassVar[str] = "test_installed"

    class Advertised:
        name = "test_installed"
        load = staticmethod(lambda: Installed)

    monkeypatch.setattr("edmp.costs.base._entry_points", lambda: (Advertised(),))
    assert isinstance(make_cost("test_installed"), Installed)
