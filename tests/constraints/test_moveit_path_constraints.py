"""Path constraints of MoveIt's requests: honoured, never wider than asked for, or refused by name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

import edmp
from edmp.validate.dense import _body_poses

START = np.array([0, -0.785, 0, -2.356, 0, 1.571, 0.785])
NAMES = [f"panda_joint{k}" for k in range(1, 8)]
DOWN = {"x": 1, "y": 0, "z": 0, "w": 0}
Entry = dict[str, Any]
pytestmark = pytest.mark.filterwarnings("ignore::edmp.EdmpWarning")


def load(folder: Path, path: Entry, *, goal: np.ndarray = START) -> edmp.Problem:
    scene = {"robot_model_name": "panda", "world": {"collision_objects": []}}
    joints = [{"joint_name": n, "position": float(q)} for n, q in zip(NAMES, goal, strict=True)]
    request = {
        "start_state": {"joint_state": {"name": NAMES, "position": START.tolist()}},
        "goal_constraints": [{"joint_constraints": joints}],
        "path_constraints": path,
    }
    (folder / "scene.yaml").write_text(yaml.safe_dump(scene))
    (folder / "request.yaml").write_text(yaml.safe_dump(request))
    return edmp.load_problem(folder / "scene.yaml", folder / "request.yaml")


def orientation(*tolerances: float, **more: Any) -> Entry:
    keys = [f"absolute_{axis}_axis_tolerance" for axis in "xyz"]
    of = {"header": {"frame_id": "panda_link0"}, "orientation": DOWN, "link_name": "panda_hand"}
    return {"orientation_constraints": [{**of, **dict(zip(keys, tolerances, strict=True)), "weight": 1.0, **more}]}


def position(primitive: Entry, **more: Any) -> Entry:
    region = {"primitives": [primitive], "primitive_poses": [{"position": [0.3, 0.0, 0.5]}]}
    of = {"header": {"frame_id": "world"}, "link_name": "panda_hand", "constraint_region": region}
    return {"position_constraints": [{**of, **more}]}


def test_joint_constraints_are_ranges(tmp_path: Path) -> None:
    one = {"joint_name": "panda_joint4", "position": -2.3, "tolerance_above": 0.2, "tolerance_below": 0.1, "weight": 1}
    (kept,) = load(tmp_path, {"joint_constraints": [one]}).constraints
    assert isinstance(kept, edmp.JointRange)
    assert (kept.joint, kept.lower, kept.upper) == ("panda_joint4", pytest.approx(-2.4), pytest.approx(-2.1))


def test_a_plan_from_a_request_keeps_to_its_path_constraints(tmp_path: Path) -> None:
    goal = START + np.array([0.8, 0, 0, 0, 0, 0, 0])
    asked = load(tmp_path, orientation(0.1, 0.1, 3.14), goal=goal)
    result = edmp.plan(asked.scene, asked.start, asked.goal, robot=asked.robot, constraints=asked.constraints)
    assert result.solved
    assert result.kept[0].worst <= 0.1
    for q in result.path:
        angles = euler(_body_poses(asked.robot, q)[7] @ asked.robot.links[asked.robot.link_index("panda_hand")].X_BL)
        assert (np.abs(angles) <= [0.1, 0.1, 3.14]).all()


def euler(X_WL: np.ndarray) -> np.ndarray:
    """As MoveIt has them: R_TL = Rx(a) Ry(b) Rz(c), where T points down."""
    return Rotation.from_matrix(np.diag([1.0, -1.0, -1.0]).T @ X_WL[:3, :3]).as_euler("XYZ")


@pytest.mark.parametrize(
    ("tolerances", "least"),
    [
        ((0.1, 0.1, 0.1), 0.6),
        ((0.1, 0.3, 0.05), 0.4),
        ((1.0, 0.2, 1.2), 0.05),
        ((1.5, 1.5, 1.5), 0.05),
        ((0.1, 0.1, math.pi), 0.6),
        ((0.1, 0.2, 7.0), 0.3),
        ((0.1, 0.1, 3.14), 0.6),
        ((0.4, 0.2, 2.0), 0.3),
        ((math.pi, 0.1, 0.2), 0.3),
        ((2.5, 0.3, 0.2), 0.4),
    ],
)
def test_xyz_euler_angles_are_never_wider(tmp_path: Path, tolerances: tuple[float, ...], least: float) -> None:
    """Of random orientations in and round the tolerances; ``least`` is the share of them that is left."""
    asked = load(tmp_path, orientation(*tolerances))
    angles = np.random.default_rng(0).uniform(-1, 1, (20_000, 3)) * 1.1 * np.minimum(tolerances, (np.pi, 1.57, np.pi))
    turned = Rotation.from_euler("XYZ", angles)
    R_WL = np.diag([1.0, -1.0, -1.0]) @ turned.as_matrix()
    within = np.all([holds(one, R_WL) for one in asked.constraints], axis=0)
    allowed = (np.abs(turned.as_euler("XYZ")) <= tolerances).all(axis=1)
    assert not (within & ~allowed).any()
    assert within.sum() > least * allowed.sum()


def holds(one: edmp.Constraint, R_WL: np.ndarray) -> np.ndarray:
    if isinstance(one, edmp.Upright):
        return np.arccos(np.clip(R_WL @ one.axis @ one.up, -1, 1)) <= one.tolerance
    assert isinstance(one, edmp.Oriented)
    return (np.abs(Rotation.from_matrix(one.rotation.T @ R_WL).as_rotvec()) <= one.tolerance).all(axis=1)


def test_a_rotation_vector_is_kept_as_it_is(tmp_path: Path) -> None:
    (kept,) = load(tmp_path, orientation(0.1, 0.2, 3.2, parameterization=1)).constraints
    assert isinstance(kept, edmp.Oriented)
    assert kept.tolerance.tolist() == [0.1, 0.2, math.inf]
    assert np.allclose(kept.rotation, np.diag([1, -1, -1]))
    assert kept.frame == "panda_hand"
    assert load(tmp_path, orientation(4, 4, 4, parameterization=1)).constraints == ()


def test_orientations_are_given_in_a_frame(tmp_path: Path) -> None:
    robot = edmp.load_robot("panda").with_base(np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1.0], [0, 0, 0, 1.0]]))
    load(tmp_path, orientation(0.1, 0.1, 0.1, parameterization=1))
    asked = edmp.load_problem(tmp_path / "scene.yaml", tmp_path / "request.yaml", robot=robot)
    (kept,) = asked.constraints
    assert isinstance(kept, edmp.Oriented)
    assert np.allclose(kept.rotation, robot.X_W0[:3, :3] @ np.diag([1, -1, -1]))


def test_position_constraints_are_boxes_spheres_and_cylinders(tmp_path: Path) -> None:
    offset = {"target_point_offset": {"x": 0.0, "y": 0.0, "z": 0.1}}
    (box,) = load(tmp_path, position({"type": 1, "dimensions": [0.5, 0.6, 0.7]}, **offset)).constraints
    assert isinstance(box, edmp.InBox)
    assert (list(box.size), box.X_WO[:3, 3].tolist(), list(box.offset)) == ([0.5, 0.6, 0.7], [0.3, 0, 0.5], [0, 0, 0.1])
    (sphere,) = load(tmp_path, position({"type": "sphere", "dimensions": [0.2]})).constraints
    assert isinstance(sphere, edmp.InSphere)
    assert (sphere.radius, sphere.point.tolist(), sphere.frame) == (0.2, [0.3, 0, 0.5], "panda_hand")
    line, along = load(tmp_path, position({"type": 3, "dimensions": [0.4, 0.2]})).constraints
    assert isinstance(line, edmp.OnLine)
    assert isinstance(along, edmp.InBox)
    assert line.tolerance == 0.2
    assert along.size.tolist() == [math.inf, math.inf, 0.4]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (
            {"visibility_constraints": [{"target_radius": 0.1}]},
            "visibility_constraints along the path are not supp",
        ),
        ({"joint_constraints": [{"joint_name": "a", "position": 0}]}, "cannot keep to one value exactly"),
        (
            {"joint_constraints": [{"joint_name": "a", "position": 0, "tolerance_above": 1}]},
            "unknown joint 'a'; valid: panda_joint1",
        ),
        (orientation(0, 0.1, 0.1), "an orientation cannot be kept to exactly"),
        (orientation(0.1, 2.0, 0.1), "at least two of them, the one about y among them, must be below pi/2"),
        (orientation(0.1, 0.1, 0.1, parameterization=2), "expected 0 .XYZ Euler angles. or 1 .rotation vector., got 2"),
        (orientation(0.1, 0.1, 0.1, link_name="hand"), "unknown tool frame 'hand'"),
        (
            orientation(0.1, 0.1, 0.1, header={"frame_id": "panda_link4"}),
            "frame 'panda_link4' is not one that stays where it is; known: world, panda_link0",
        ),
        (position({"type": 4, "dimensions": [0.4, 0.2]}), "a cone as the region along the path is not supported"),
        (
            position({"type": 1, "dimensions": [1, 1, 1]}, constraint_region={"meshes": [{}]}),
            "meshes as regions along the path are not supported",
        ),
        (
            position({}, constraint_region={"primitives": [{}, {}], "primitive_poses": [{}, {}]}),
            "to stay in one of several regions is not supported",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(tmp_path: Path, path: Entry, says: str) -> None:
    with pytest.raises(edmp.FileFormatError, match=rf"request.yaml:\d+: .*{says}"):
        load(tmp_path, path)


def test_a_start_that_breaks_them_is_told_before_planning(tmp_path: Path) -> None:
    asked = load(tmp_path, position({"type": "sphere", "dimensions": [0.01]}))
    result = edmp.plan(asked.scene, asked.start, asked.goal, robot=asked.robot, constraints=asked.constraints)
    assert result.status is edmp.Status.START_BREAKS_CONSTRAINT
    assert result.message.startswith("start: panda_hand in a sphere of 0.01 m: it is")
