"""The judge: what it says about single cases whose answer is known."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from validate_cases import BOX_CORNERS, BOX_FACES, l_shape, pose, random_scene, translation

import edmp.validate
from edmp.constraints import JointRange, KeepDistance, Upright
from edmp.errors import InvalidInputError
from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Sphere
from edmp.robots import load_robot
from edmp.robots.parts import Joint, Limits, Link, ToolFrame
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.validate import Cause, Judge
from edmp.validate.dense import dense_collisions


@pytest.fixture(scope="module")
def panda() -> Robot:
    return load_robot("panda")


def slider(half: float = 0.05) -> Robot:
    """A cube of edge 2 * half that slides along world x, y and z."""
    axes = [
        Rotation.from_euler("y", 90, degrees=True),
        Rotation.from_euler("x", -90, degrees=True),
        Rotation.identity(),
    ]
    joints, R = [], Rotation.identity()
    for name, axis in zip("xyz", axes, strict=True):
        joints.append(Joint(name, "prismatic", pose(R.inv() * axis, (0, 0, 0))))
        R = axis
    one = np.ones(3)
    link = Link("cube", 3, np.eye(4), (2 * half * BOX_CORNERS,), np.zeros((0, 4)), None)
    limits = Limits(-2 * one, 2 * one, one, one, one)
    return Robot("slider", tuple(joints), limits, (link,), (), ToolFrame("t", 3, np.eye(4)), 0 * one, np.eye(4))


def scene_of(*shapes_at) -> Scene:
    return Scene(tuple(Obstacle(f"o{k}", shape, translation(*at)) for k, (shape, at) in enumerate(shapes_at)))


@pytest.mark.parametrize(
    ("shape", "offset", "depth"),
    [
        (Box((0.2, 0.4, 0.6)), (0.14, 0.0, 0.0), 0.01),
        (Sphere(0.1), (0.0, 0.12, 0.0), 0.03),
        (Cylinder(0.1, 0.5), (0.13, 0.0, 0.02), 0.02),
        (Cylinder(0.3, 0.1), (0.02, 0.01, 0.085), 0.015),
        (Capsule(0.1, 0.2), (0.0, 0.0, 0.23), 0.02),
        (Mesh(BOX_CORNERS * 0.2, BOX_FACES), (0.0, 0.14, 0.01), 0.01),
    ],
)
def test_depth_is_exact(shape, offset, depth: float) -> None:
    verdict = Judge(slider(), scene_of((shape, (0.3, -0.2, 0.1)))).check(np.add(offset, (0.3, -0.2, 0.1)))
    assert not verdict.valid
    assert verdict.cause is Cause.COLLISION
    (contact,) = verdict.contacts
    assert contact.depth == pytest.approx(depth, abs=1e-5)
    assert contact.message() == f'cube is {1e3 * depth:.1f} mm inside "o0"'


@pytest.mark.parametrize("gap", [3e-5, 1e-3, 0.05, 0.4])
def test_distance_is_exact(gap: float) -> None:
    judge = Judge(slider(), scene_of((Box((0.2, 0.4, 0.6)), (0, 0, 0)), (Sphere(0.1), (0, 0, 1.5))))
    verdict = judge.check([0.15 + gap, 0.1, 0.1])
    assert verdict.valid
    assert verdict.min_clearance == pytest.approx(gap, abs=1e-6)
    path = [[0.15 + gap, -0.3, -0.2], [0.15 + gap, 0.1, 0.1], [0.2 + gap, 0.2, 0.3]]
    assert judge.check_path(path).valid
    assert judge.clearance(path) == pytest.approx(gap, abs=1e-3)


def test_touch_is_contact_and_a_hair_is_not() -> None:
    judge = Judge(slider(), scene_of((Box((0.2, 0.2, 0.2)), (0, 0, 0))))
    assert judge.check([0.15, 0, 0]).allowed  # a motion may begin there, see test_validate_contacts
    assert not judge.check_path([[0.15, -0.5, 0], [0.15, 0.5, 0]]).valid
    assert judge.check([0.15 + 2e-5, 0, 0]).valid
    assert judge.check_path([[0.15 + 2e-5, -0.5, 0], [0.15 + 2e-5, 0.5, 0]]).valid


def test_every_contact_is_named(panda: Robot) -> None:
    X_WH = _hand(panda, panda.home)
    scene = Scene(
        (
            Obstacle("ball", Sphere(0.02), X_WH @ translation(0, 0, 0.03)),
            Obstacle("plate", Box((0.5, 0.5, 0.01)), X_WH @ translation(0, 0, 0.05)),
            Obstacle("far", Box((0.1, 0.1, 0.1)), translation(-1, -1, 1)),
        )
    )
    verdict = Judge(panda, scene).check(panda.home)
    named = {(c.link, c.other) for c in verdict.contacts}
    assert {("panda_hand", "ball"), ("panda_hand", "plate")} <= named
    assert "far" not in {other for _, other in named}
    assert {(hit.link, hit.other) for hit in dense_collisions(panda, scene, panda.home[None])} == named
    assert verdict.message().startswith(verdict.contacts[0].message())


def test_self_collision(panda: Robot) -> None:
    rng = np.random.default_rng(0)
    judge = Judge(panda, Scene())
    found = 0
    for _ in range(100):
        q = rng.uniform(panda.limits.lower, panda.limits.upper)
        verdict = judge.check(q)
        if not verdict.valid or found % 2:
            assert verdict.valid == (not dense_collisions(panda, Scene(), q[None]))
        if not verdict.valid:
            found += 1
            assert verdict.cause is Cause.SELF_COLLISION
            contact = verdict.contacts[0]
            assert (
                contact.message() == f"{contact.link} and {contact.other} overlap by {1e3 * contact.depth:.1f} mm"
                or (contact.depth > 0.1 or contact.depth < 5e-5)
            )
    assert found > 3


def test_thin_plate_between_waypoints(panda: Robot) -> None:
    """A plate 0.2 mm thick that the hand crosses between two waypoints, both of which are free."""
    turn = 0.7 * np.eye(7)[0]
    a, b = panda.home - turn, panda.home + turn
    X_WH = _hand(panda, panda.home)
    plate = Obstacle("plate", Box((0.2, 2e-4, 0.2)), translation(*X_WH[:3, 3]))
    judge = Judge(panda, Scene((plate,)))
    assert judge.check(a).valid
    assert judge.check(b).valid
    verdict = judge.check_path([a, b], start=a, goal=b)
    assert verdict.cause is Cause.COLLISION
    contact = verdict.contacts[0]
    assert (contact.other, contact.edge) == ("plate", 0)
    assert a[0] < contact.q[0] < b[0]
    # A plate that moves the same way along an edge in the middle of a longer path.
    path = np.concatenate([a + np.linspace(-0.3, 0, 5)[:, None] * np.eye(7)[0], [b], b + 0.1 * np.eye(7)[:1]])
    assert judge.check_path(path).contacts[0].edge == 4


def test_thin_plate_crossed_by_a_small_cube() -> None:
    judge = Judge(slider(1e-3), scene_of((Box((1e-6, 1.0, 1.0)), (0.1234, 0, 0))))
    assert not judge.check_path([[-2, 0, 0], [2, 0, 0]]).valid
    assert judge.check_path([[-2, 0.6, 0], [2, 0.6, 0]]).valid


def test_mesh_is_solid() -> None:
    """A robot inside a closed mesh is in collision although it touches no surface; in an L's corner it is free."""
    scene = scene_of((l_shape(1.0), (0, 0, 0)))  # the L fills [-.75, .25]^2 and two more unit squares
    judge = Judge(slider(), scene)
    verdict = judge.check([-0.25, -0.25, 0.0])
    assert verdict.cause is Cause.COLLISION
    assert 0.4 < verdict.contacts[0].depth < 0.6
    assert not judge.check_path([[-0.25, -0.25, 0.0], [-0.3, -0.2, 0.1]]).valid
    assert dense_collisions(slider(), scene, np.array([[-0.25, -0.25, 0.0]]))
    path = [[0.5, 1.2, 0], [0.5, 0.5, 0], [1.2, 0.5, 0]]
    verdict = judge.check_path(path)
    assert verdict.valid
    assert judge.clearance(path) == pytest.approx(0.2, abs=1e-3)
    assert not judge.check_path([[1.2, 0.5, 0], [0.5, 1.2, 0], [-0.5, 0.5, 0]]).valid
    # The obstacle inside the robot.
    assert not Judge(slider(0.5), scene_of((l_shape(0.05), (0, 0, 0)))).check([0.1, 0, 0]).valid


def test_empty_scene(panda: Robot) -> None:
    verdict = Judge(panda, Scene()).check_path([panda.home, panda.home + 0.1])
    assert verdict.valid
    assert verdict.min_clearance == np.inf
    assert verdict.edges == 1
    assert verdict.message() == "free"


def test_limits_are_hard(panda: Robot) -> None:
    judge, q = Judge(panda, Scene()), panda.home.copy()
    q[3] = panda.limits.upper[3]
    assert judge.check(q).valid
    q[3] += 1e-8
    verdict = judge.check(q)
    assert verdict.cause is Cause.OUT_OF_LIMITS
    (violation,) = verdict.limits
    assert (violation.joint, violation.limit) == ("panda_joint4", panda.limits.upper[3])
    q[3] = 0.12
    message = judge.check_path([panda.home, q, panda.home]).message()
    assert message == f"joint panda_joint4 at 0.12 exceeds its upper limit {panda.limits.upper[3]:.4g}"


def test_ends_and_bad_values(panda: Robot) -> None:
    judge, a = Judge(panda, Scene()), panda.home
    b = a + 0.1
    assert judge.check_path([a, b], start=a + 9e-7, goal=b).valid
    assert judge.check_path([a, b], start=a + 2e-6).cause is Cause.START_MISSED
    assert judge.check_path([a, b], goal=b - 1e-3).cause is Cause.GOAL_MISSED
    assert judge.check_path([a, a * np.nan]).cause is Cause.NOT_FINITE
    assert judge.check(a + np.inf).cause is Cause.NOT_FINITE
    for bad in (np.zeros((3, 6)), np.zeros(7), np.zeros((0, 7))):
        with pytest.raises(InvalidInputError):
            judge.check_path(bad)
    with pytest.raises(InvalidInputError):
        judge.check(np.zeros((2, 7)))
    with pytest.raises(InvalidInputError):
        judge.clearance([a, b], tightness=0.0)


def test_single_waypoint_and_standing_still(panda: Robot) -> None:
    judge = Judge(panda, scene_of((Box((0.1, 0.1, 0.1)), (0.3, 0.4, 0.1))))
    for path in ([panda.home], [panda.home] * 3):
        verdict = judge.check_path(path)
        assert verdict.valid
        assert 0 < verdict.min_clearance <= judge.check(panda.home).min_clearance + 1e-4


def test_base_may_stand_on_a_table_but_not_in_one(panda: Robot) -> None:
    table = Box((1.0, 1.0, 0.1))
    on, inside = (Scene((Obstacle("table", table, translation(0, 0, z)),)) for z in (-0.05, 0.0))
    assert Judge(panda, on).check(panda.home).valid
    verdict = Judge(panda, inside).check(panda.home)
    assert [(c.link, c.other) for c in verdict.contacts] == [("panda_link0", "table")]
    assert not Judge(panda, inside).check_path([panda.home, panda.home]).valid


def test_moving_base_and_scene_together_changes_nothing(panda: Robot) -> None:
    X = pose(Rotation.from_rotvec([0.3, -1.0, 0.5]), (0.5, -2.0, 1.0))
    scene = scene_of((Box((0.1, 0.2, 0.3)), (0.5, 0.3, 0.4)), (Cylinder(0.05, 0.3), (0.5, -0.3, 0.4)))
    moved = Scene(tuple(dataclasses.replace(o, X_WO=X @ o.X_WO) for o in scene))
    path = [panda.home, panda.home + 0.2]
    a, b = Judge(panda, scene).clearance(path), Judge(panda.with_base(X), moved).clearance(path)
    assert a == pytest.approx(b, abs=1e-3)


PLAIN_DATA = (
    *("edmp.errors", "edmp.arguments", "edmp.ranges", "edmp.trajectory", "edmp.taskplan", "edmp.constraints"),
    "edmp.cached",
    *("edmp.geometry.mesh_cache", "edmp.geometry.poses", "edmp.geometry.shapes", "edmp.geometry.tool_path"),
    *("edmp.geometry.sensed", "edmp.geometry.cells"),
    *("edmp.robots.parts", "edmp.robots.robot", "edmp.robots.sliding", "edmp.scenes.scene"),
)
"""All that the judge takes from elsewhere: what was asked, not how it is answered; and a `cached_property`."""


def test_the_judge_shares_nothing_with_the_optimiser() -> None:
    for source in Path(edmp.validate.__file__).parent.glob("*.py"):
        imported = set()
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module == "edmp.geometry.kinds":
                # A shape of a kind that it has no view of is a mesh to the judge: vertices and faces, no distances.
                assert [alias.name for alias in node.names] == ["as_mesh"]
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
        for name in imported:
            assert not name.startswith(("torch", "warp", "edmp.costs", "edmp.prior", "edmp.guidance")), (source, name)
            assert name.split(".")[0] != "edmp" or name.startswith(("edmp.validate", *PLAIN_DATA)), (source, name)


def _hand(robot: Robot, q: np.ndarray) -> np.ndarray:
    from edmp.validate.dense import _body_poses

    link = robot.links[robot.link_names.index("panda_hand")]
    return _body_poses(robot, q)[link.body] @ link.X_BL


def test_many_configurations_at_once_are_as_each_for_itself(panda: Robot) -> None:
    """`clear` is what `check` says of each: valid, and nothing touched; with constraints, distances, limits, meshes."""
    rng = np.random.default_rng(5)
    meshes = (Obstacle(f"mesh{k}", one.shape, one.X_WO) for k, one in enumerate(random_scene(rng, 2, 0.9, meshes=True)))
    scene = Scene((*random_scene(rng, 6, 0.8), *meshes))
    lower, upper = panda.limits.lower, panda.limits.upper
    q = rng.uniform(lower - 0.05, upper + 0.05, (300, 7))
    q[:20] = panda.home + 0.1 * rng.standard_normal((20, 7))
    q[-1] = np.nan
    cone = Upright(0.8, axis=(0, 0, -1))
    for constraints in ((), (cone,), (KeepDistance("thing0", 0.2), JointRange("panda_joint1", -1.0, 1.0))):
        judge = Judge(panda, scene, constraints=constraints)
        clear = judge.clear(q)
        verdicts = [judge.check(row) for row in q]
        assert clear.tolist() == [verdict.valid and not verdict.allowed for verdict in verdicts]
        assert 5 <= clear.sum() < 250
        np.testing.assert_array_equal(Judge(panda, scene, constraints=constraints).clear(q[7:9]), clear[7:9])
        np.testing.assert_array_equal(judge.clear(q), clear)
