"""Contacts that a motion may begin or end with: what the judge lets pass, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from test_validate import scene_of, slider
from validate_cases import translation

from edmp.errors import InvalidInputError, UnknownNameError
from edmp.geometry.shapes import Box, Cylinder, Mesh
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.validate import Cause, Judge

FLOOR = scene_of((Box((2.0, 2.0, 0.1)), (0.0, 0.0, -0.1)))  # its top is at -0.05: the cube of 0.1 rests on it at z = 0
DOWN = 5e-5


def named(obstacle: str = "o0") -> Robot:
    return slider().with_allowed_contacts(("cube", obstacle))


def path(*points: tuple[float, float, float]) -> np.ndarray:
    return np.array(points, dtype=np.float64)


@pytest.mark.parametrize("depth", [0.0, DOWN, 9.9e-5])
def test_what_rests_may_be_lifted_moved_and_put_down(depth: float) -> None:
    judge = Judge(slider(), FLOOR)
    verdict = judge.check([0, 0, -depth])
    assert verdict.valid
    assert verdict.min_clearance == 0.0
    (contact,) = verdict.allowed
    assert (contact.link, contact.other) == ("cube", "o0")
    assert contact.depth == pytest.approx(depth, abs=1e-9)
    assert contact.direction == pytest.approx([0, 0, 1], abs=1e-9)
    assert "as allowed" in verdict.message()
    for way in (
        path((0, 0, -depth), (0, 0, 0.2), (0.5, 0.3, 0.2), (0.5, 0.3, -depth)),  # lifted, moved, put down
        path((0, 0, -depth), (0.3, 0, 0.4)),
        path((0.3, 0, 0.4), (0, 0, -depth)),
        path((0, 0, -depth), (0.6, 0.1, -depth)),  # slid along
        path((0, 0, -depth), (0, 0, -depth)),
        path((0, 0, -depth)),
    ):
        moved = judge.check_path(way)
        assert moved.valid, moved.message()
        assert moved.allowed
        assert moved.min_clearance == 0.0


def test_what_is_pressed_in_drops_again_or_touches_elsewhere_is_refused() -> None:
    judge = Judge(slider(), FLOOR)
    for way in (
        path((0, 0, 0), (0, 0, -2e-4), (0, 0, 0.2)),  # pressed in, deeper than the tolerance
        path((0, 0, 0), (0.3, 0, -1.5e-4), (0.3, 0, 0.2)),  # pushed in along the way
        path((0, 0, 0), (0, 0, 0.1), (0.3, 0, 0), (0.3, 0, 0.2)),  # touches again half-way
        path((0, 0, 0), (0, 0, 0.1), (0.3, 0, -DOWN), (0.3, 0, 0.1), (0.4, 0, 0)),  # and though it may at the end
        path((0.0, 0, 0.1), (0.3, 0, 0), (0.6, 0, 0.1)),  # touches half-way, and at neither end
    ):
        verdict = judge.check_path(way)
        assert not verdict.valid
        assert verdict.cause is Cause.COLLISION
        assert verdict.contacts[0].other == "o0"
    assert judge.check_path(path((0, 0, 0), (0, 0, -8e-5), (0, 0, 0.2))).valid  # within the tolerance


def test_only_the_pair_in_touch_is_let_off() -> None:
    """A wall stands beside the cube that rests on the floor; so does a pole in its way."""
    scene = scene_of(
        (Box((2.0, 2.0, 0.1)), (0.0, 0.0, -0.1)),
        (Box((0.1, 2.0, 0.5)), (0.15, 0.0, 0.2)),
        (Cylinder(0.02, 0.5), (0.0, 0.4, 0.2)),
    )
    judge = Judge(slider(), scene)
    assert judge.check_path(path((0, 0, 0), (-0.3, 0, 0))).valid
    assert judge.check_path(path((0.05, 0, 0), (0.05, 0, 0.1), (0, 0, 0.1))).valid  # off the floor, then off the wall
    assert judge.check_path(path((0, 0, 0), (0.06, 0, 0))).contacts[0].other == "o1"
    assert judge.check_path(path((0, 0, 0), (0, 0.8, 0))).contacts[0].other == "o2"


@pytest.mark.parametrize("depth", [2e-4, 2e-3, 0.03])
def test_what_is_named_may_come_out_but_go_no_deeper(depth: float) -> None:
    deep = path((0, 0, -depth), (0, 0, 0.2))
    verdict = Judge(slider(), FLOOR).check(deep[0])
    assert not verdict.valid
    assert verdict.contacts[0].depth == pytest.approx(depth, abs=1e-9)
    assert not Judge(slider(), FLOOR).check_path(deep).valid

    judge = Judge(named(), FLOOR)
    assert judge.check(deep[0]).allowed[0].depth == pytest.approx(depth, abs=1e-9)
    assert judge.check_path(deep).valid
    assert judge.check_path(path((0, 0, -depth), (0.2, 0, -depth - 8e-5), (0.2, 0, 0.2))).valid
    for way in (
        path((0, 0, -depth), (0, 0, -depth - 3e-4), (0, 0, 0.2)),
        path((0, 0, -depth), (0, 0, 0.1), (0.3, 0, -1e-5), (0.3, 0, 0.2)),
        path((0, 0, 0.2), (0, 0, -depth)),  # what began free may rest at the end, no more
    ):
        assert not judge.check_path(way).valid
    assert not Judge(named("another"), FLOOR).check_path(deep).valid


def test_contacts_are_held_against_a_dumb_count_of_depths() -> None:
    """Random ways from and to the floor: valid if, and only if, sampled depths say so."""
    rng, judge = np.random.default_rng(0), Judge(slider(), FLOOR)
    seen = {True: 0, False: 0}
    for _ in range(60):
        middle = rng.uniform(-1, 1, (3, 3)) * (0.5, 0.5, rng.choice([2e-4, 0.3]))
        middle[:, 2] += rng.choice([0.0, 1.5e-4, 0.3])
        way = np.vstack([[0, 0, -rng.uniform(0, 9e-5)], middle, [0.4, 0, rng.choice([0.1, -2e-5])]])
        z = np.concatenate([np.linspace(a, b, 2001) for a, b in zip(way[:-1, 2], way[1:, 2], strict=True)])
        parted = np.flatnonzero(z > 1e-4)
        inner = z[parted[0] : parted[-1] + 1] if len(parted) else np.ones(1)
        if way[-1, 2] > 0:
            inner = z[parted[0] :] if len(parted) else np.ones(1)
        sure = min(abs(z.min() + 1e-4), abs(inner.min())) > 2e-5
        if not sure:
            continue
        valid = z.min() > -1e-4 and inner.min() > 0
        assert judge.check_path(way).valid == valid, way.tolist()
        seen[valid] += 1
    assert min(seen.values()) > 8


def test_many_obstacles_change_nothing() -> None:
    far = [(Box((0.01, 0.01, 0.01)), (3.0 + 0.1 * k, 0.0, 0.0)) for k in range(300)]
    judge = Judge(slider(), scene_of((Box((2.0, 2.0, 0.1)), (0.0, 0.0, -0.1)), *far))
    assert judge.check_path(path((0, 0, 0), (0, 0, 0.2))).valid
    assert not judge.check_path(path((0, 0, 0), (0, 0, -0.001), (0, 0, 0.2))).valid


def test_misuse_is_told() -> None:
    with pytest.raises(UnknownNameError, match="cube"):
        slider().with_allowed_contacts(("cub", "o0"))
    for wrong in ("cube", ("cube",), ("cube", 3), None):
        with pytest.raises(InvalidInputError, match="pair"):
            slider().with_allowed_contacts(wrong)


def test_things_rest_on_meshes_that_are_not_convex_too() -> None:
    scene = Scene((Obstacle("stand", _stand(), np.eye(4)),))
    judge, let_in = Judge(slider(), scene), Judge(slider().with_allowed_contacts(("cube", "stand")), scene)
    for depth in (0.0, DOWN, 9.5e-5):
        verdict = judge.check([0, 0, -depth])
        assert verdict.valid
        (contact,) = verdict.allowed
        assert contact.depth == pytest.approx(depth, abs=1e-5)
        assert contact.direction == pytest.approx([0, 0, 1], abs=1e-6)
        assert judge.check_path(path((0, 0, -depth), (0, 0, 0.2), (0.1, 0.1, 0.2), (0.1, 0.1, -depth))).valid
        assert judge.check_path(path((0, 0, -depth), (0.02, 0, -depth))).valid
    for way in (
        path((0, 0, 0), (0, 0, -2e-4), (0, 0, 0.2)),
        path((0, 0, 0), (0, 0, 0.1), (0.1, 0, 0), (0.1, 0, 0.2)),
        path((0, 0, -2e-4), (0, 0, 0.2)),
    ):
        assert not judge.check_path(way).valid
    deep = path((0, 0, -2e-3), (0, 0, 0.2))
    assert not judge.check_path(deep).valid
    assert let_in.check(deep[0]).allowed[0].depth == pytest.approx(2e-3, abs=1e-5)
    assert let_in.check_path(deep).valid
    assert not let_in.check_path(path((0, 0, -2e-3), (0, 0, -2.3e-3), (0, 0, 0.2))).valid


def _stand() -> Mesh:
    """A table on one leg, its top at z = -0.05."""
    top = trimesh.creation.box((1.0, 1.0, 0.1), transform=translation(0, 0, -0.1))
    leg = trimesh.creation.box((0.2, 0.2, 0.4), transform=translation(0, 0, -0.35))
    both = trimesh.util.concatenate([top, leg])
    return Mesh(both.vertices, both.faces)
