"""edmp's own YAML and MoveIt's: what is written is read back, what is wrong is named with file and line."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import trimesh

from edmp.errors import FileFormatError, InvalidInputError, UnknownNameError
from edmp.geometry.poses import pose, pose_rpy
from edmp.problem import PoseGoal, Problem, load_example, load_problem, save_problem
from edmp.robots import load_robot
from edmp.scenes import Box, Capsule, Cylinder, Mesh, Scene, Sphere, load_scene, save_scene
from edmp.scenes.moveit import MoveItScene, load_moveit_scene
from edmp.scenes.moveit_request import MoveItRequest, load_moveit_request
from edmp.scenes.moveit_write import save_moveit_request, save_moveit_scene

BALL = trimesh.creation.icosphere(subdivisions=1, radius=0.1)
SCENE = Scene.of(
    {
        "table top": (Box((1.0, 0.5, 0.04)), pose_rpy((0.5, -0.1, 1e-7), (0.1, 0.2, -3.0))),
        "can": (Cylinder(0.03, 0.14), (0.4, 0.1 + 0.2, 0.3)),
        "ball[0]": (Sphere(0.05), (0.3, 0.3, 0.1)),
        "yes: #1": (Mesh(BALL.vertices, BALL.faces), (0.5, 0.2, 0.4)),
    }
)
PIPE = Scene.of({"pipe": (Capsule(0.02, 0.5), pose_rpy((0.4, 0.4, 0.3), (1.0, 0.0, 0.0)))})
JOINTS = {f"panda_joint{i + 1}": 0.1 * i - (1.5 if i == 3 else 0.0) for i in range(7)}


def assert_same(a: Scene, b: Scene) -> None:
    assert a.names == b.names
    for one, other in zip(a, b, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one.X_WO, other.X_WO, atol=1e-14)


def write(folder: Path, text: str, name: str = "file.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


# --- round trips -----------------------------------------------------------------------------------------------------


def test_own_format_round_trip(tmp_path: Path) -> None:
    scene = Scene((*SCENE, *PIPE))
    save_scene(tmp_path / "a.yaml", scene, name="things")
    assert_same(load_scene(tmp_path / "a.yaml"), scene)
    save_scene(tmp_path / "empty.yaml", Scene())
    assert load_scene(tmp_path / "empty.yaml") == Scene()


def test_moveit_scene_round_trip(tmp_path: Path) -> None:
    X_WR = pose_rpy((0.1, 0.2, 0.9), (0, 0, 1.57))
    save_moveit_scene(tmp_path / "a.yaml", MoveItScene(SCENE, "panda", JOINTS, X_WR))
    back = load_moveit_scene(tmp_path / "a.yaml")
    assert_same(back.scene, SCENE)
    assert_same(load_scene(tmp_path / "a.yaml"), SCENE)
    assert back.robot_model == "panda"
    assert back.joint_positions == JOINTS
    assert back.X_WR is not None
    np.testing.assert_allclose(back.X_WR, X_WR, atol=1e-14)


def test_moveit_has_no_capsules_so_they_become_three_pieces(tmp_path: Path) -> None:
    save_moveit_scene(tmp_path / "a.yaml", PIPE)
    back = load_scene(tmp_path / "a.yaml")
    assert back.names == ("pipe[0]", "pipe[1]", "pipe[2]")
    assert back["pipe[0]"].shape == Cylinder(0.02, 0.5)
    ends = [PIPE["pipe"].X_WO @ (0, 0, z, 1) for z in (-0.25, 0.25)]
    np.testing.assert_allclose([back[f"pipe[{i}]"].X_WO[:, 3] for i in (1, 2)], ends, atol=1e-14)


def test_moveit_request_round_trip(tmp_path: Path) -> None:
    request = MoveItRequest({**JOINTS, "panda_finger_joint1": 0.03}, (JOINTS, dict.fromkeys(JOINTS, -1.0)), "panda_arm")
    save_moveit_request(tmp_path / "r.yaml", request)
    back = load_moveit_request(tmp_path / "r.yaml")
    assert (back.start, back.goals, back.group) == (request.start, request.goals, request.group)
    assert back.X_WR is None
    with pytest.raises(InvalidInputError, match="goal"):
        save_moveit_request(tmp_path / "r2.yaml", MoveItRequest(JOINTS, ()))


def test_moveit_problem(tmp_path: Path) -> None:
    """Joints by name in any order, opening from the fingers, base from the virtual joint."""
    save_moveit_scene(tmp_path / "s.yaml", SCENE)
    shuffled = dict(reversed(JOINTS.items()))
    fingers = {"panda_finger_joint2": 0.03, "panda_finger_joint1": 0.03}
    X_WR = pose((0, 0, 0.5))
    save_moveit_request(tmp_path / "r.yaml", MoveItRequest({**fingers, **shuffled}, (shuffled,), "", X_WR))
    problem = load_problem(tmp_path / "s.yaml", tmp_path / "r.yaml")
    np.testing.assert_allclose(problem.start, list(JOINTS.values()))
    np.testing.assert_allclose(problem.goal, list(JOINTS.values()))  # type: ignore[arg-type]
    assert problem.robot.gripper is not None
    assert problem.robot.gripper.width == pytest.approx(0.06)
    np.testing.assert_allclose(problem.robot.X_W0, X_WR)
    assert load_problem(tmp_path / "s.yaml", tmp_path / "r.yaml").robot is problem.robot


def test_own_problem_round_trip(tmp_path: Path) -> None:
    robot = load_robot("panda", gripper_width=0.05).with_base(pose((0.1, 0, 0.2)))
    goals = (np.full(7, 0.25), PoseGoal(np.array([0.4, 0, 0.5]), np.array([1.0, 0, 0, 0])))
    save_problem(tmp_path / "p.yaml", Problem(robot, SCENE, np.linspace(0, 1, 7), goals, "mine"))
    back = load_problem(tmp_path / "p.yaml")
    assert_same(back.scene, SCENE)
    assert back.name == "mine"
    np.testing.assert_array_equal(back.start, np.linspace(0, 1, 7))
    np.testing.assert_array_equal(back.goal[0], goals[0])
    np.testing.assert_allclose(back.goal[1].X_WT, goals[1].X_WT, atol=1e-15)
    np.testing.assert_allclose(back.robot.X_W0, robot.X_W0)
    assert back.robot.gripper is not None
    assert back.robot.gripper.width == 0.05


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda arm: arm.with_attachment("mug", Sphere(0.03), np.eye(4), link="panda_hand"), "it holds mug"),
        (lambda arm: dataclasses.replace(arm, name="my_arm"), "'my_arm' is no built-in robot"),
        (lambda arm: dataclasses.replace(arm, home=arm.home + 0.1), "its home differ"),
        (lambda arm: arm.with_tool("panda_link3"), "its tool"),
    ],
)
def test_a_robot_that_its_name_does_not_give_back_is_not_written(tmp_path: Path, change, says: str) -> None:
    problem = load_example("bookshelf")
    path = tmp_path / "p.yaml"
    with pytest.raises(InvalidInputError, match=f"{says}.*save_plan keeps any robot"):
        save_problem(path, dataclasses.replace(problem, robot=change(problem.robot)))
    assert not path.exists()


def test_a_gripper_moved_often_is_still_the_built_in_one(tmp_path: Path) -> None:
    problem = load_example("bookshelf")
    arm = load_robot("panda")
    for width in (0.013, 0.07, 0.031, 0.04):
        arm = arm.with_gripper(width)
    save_problem(tmp_path / "p.yaml", dataclasses.replace(problem, robot=arm))
    assert load_problem(tmp_path / "p.yaml").robot.gripper.width == 0.04


@pytest.mark.parametrize("name", ["bookshelf", "table", "cage", "bin"])
def test_examples_load(name: str) -> None:
    problem = load_example(name)
    assert problem.name == name
    assert problem.start.shape == (7,)
    assert len(problem.scene) > 8


def test_unknown_example_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="bin, bookshelf, cage, table"):
        load_example("kitchen")


@pytest.mark.parametrize("kind", ["obj", "stl", "ply"])
def test_mesh_file_beside_the_scene(tmp_path: Path, kind: str) -> None:
    BALL.export(tmp_path / f"ball.{kind}")
    text = f"edmp_scene: 1\nobstacles:\n  ball: {{type: mesh, file: ball.{kind}, scale: 2, position: [0, 0, 1]}}\n"
    mesh = load_scene(write(tmp_path, text))["ball"].shape
    assert isinstance(mesh, Mesh)
    assert np.abs(mesh.vertices).max() == pytest.approx(2 * np.abs(BALL.vertices).max(), rel=1e-5)


def test_nothing_is_half_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot write"):
        save_scene(tmp_path / "missing" / "a.yaml", SCENE)
    assert list(tmp_path.iterdir()) == []
    save_scene(tmp_path / "a.yaml", SCENE)
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


# --- MoveIt's spellings ----------------------------------------------------------------------------------------------


def test_object_pose_times_primitive_pose_and_named_vectors(tmp_path: Path) -> None:
    text = """
world:
  collision_objects:
    - id: thing
      pose: {position: {x: 1, y: 0, z: 0}, orientation: {x: 0, y: 0, z: 0.70710678, w: 0.70710678}}
      primitives: [{type: 1, dimensions: [1, 2, 3]}, {type: Sphere, dimensions: [0.5]}]
      primitive_poses:
        - {position: [1, 0, 0], orientation: [0, 0, 0, 1]}
        - {position: [0, 0, 2], orientation: [0, 0, 0, 1]}
"""
    scene = load_scene(write(tmp_path, text))
    assert scene.names == ("thing[0]", "thing[1]")
    np.testing.assert_allclose(scene["thing[0]"].X_WO[:3, 3], [1, 1, 0], atol=1e-7)
    np.testing.assert_allclose(scene["thing[1]"].X_WO[:3, 3], [1, 0, 2], atol=1e-7)
    assert scene["thing[0]"].shape == Box((1, 2, 3))


def primitive(body: str, pose_line: str = "{position: [0, 0, 0], orientation: [0, 0, 0, 1]}") -> str:
    return (
        "world:\n  collision_objects:\n    - id: crate\n      primitives:\n"
        f"        - {body}\n      primitive_poses:\n        - {pose_line}\n"
    )


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("world: [1, 2\n", 2, "malformed YAML"),
        ("world:\n\t- x\n", 2, "malformed YAML"),
        ("", 1, "empty"),
        ("- 1\n", 1, "mapping at the top"),
        ("a: 1\n", 1, "neither an edmp scene"),
        (primitive("{type: torus, dimensions: [1, 2]}"), 5, "unknown primitive type 'torus'; valid: box, sphere, cyl"),
        (primitive("{type: box, dimensions: [1, 2]}"), 5, "expected 3 numbers, got 2"),
        (primitive("{type: box, dimensions: [1, 0, 2]}"), 5, "must be positive"),
        (primitive("{type: box, dimensions: [1, .nan, 2]}"), 5, "finite"),
        (primitive("{type: cylinder, dimensions: [1, -0.1]}"), 5, "Cylinder radius must be positive"),
        (primitive("{type: sphere, dimensions: [big]}"), 5, "expected a number, got 'big'"),
        (primitive("{type: sphere}"), 5, "missing key 'dimensions'"),
        (
            primitive("{type: sphere, dimensions: [1]}", "{position: [0, 0, 0], orientation: [0, 0, 1, 1]}"),
            7,
            "unit length",
        ),
        (primitive("{type: sphere, dimensions: [1]}", "{position: [0, 0]}"), 7, "expected 3 numbers"),
        (
            "world:\n  collision_objects:\n    - id: floor\n      planes: [{coef: [0, 0, 1, 0]}]\n",
            4,
            "planes are not supported",
        ),
        ("world:\n  collision_objects:\n    - id: nothing\n", 3, "neither primitives nor meshes"),
        (primitive("{type: sphere, dimensions: [1]}") + "    - 3\n", 8, "expected a mapping, got '3'"),
        (primitive("{type: sphere, dimensions: [1]}") * 2, 8, "world: this key appears twice"),
        ("edmp_scene: 2\n", 1, "version '2'"),
        ("edmp_scene: 1\nobstacle: {}\n", 2, "unknown key 'obstacle'; valid: .*obstacles"),
        ("edmp_scene: 1\nobstacles:\n  a: {type: bax, size: [1, 1, 1]}\n", 3, "valid: box, cylinder, capsule"),
        ("edmp_scene: 1\nobstacles:\n  a: {type: box, size: [1, 1, 1], radius: 2}\n", 3, "unknown key 'radius'"),
        ("edmp_scene: 1\nobstacles:\n  a: {type: sphere}\n", 3, "missing key 'radius'"),
        ("edmp_scene: 1\nobstacles:\n  a: {type: sphere, radius: 0}\n", 3, "positive"),
        ("edmp_scene: 1\nobstacles:\n  a: {type: sphere, radius: 1}\n  a: {type: sphere, radius: 1}\n", 4, "twice"),
        ("edmp_scene: 1\nobstacles:\n  a: {type: sphere, radius: 1, quaternion: [1, 1, 1, 1]}\n", 3, "unit length"),
        (
            "edmp_scene: 1\nobstacles:\n  a: {type: sphere, radius: 1, quaternion: [0, 0, 0, 1], rpy: [0, 0, 0]}\n",
            3,
            "not both",
        ),
        ("edmp_scene: 1\nobstacles:\n  a: {type: mesh, file: gone.stl}\n", 3, "no such mesh file"),
        ("edmp_scene: 1\nobstacles:\n  a: {type: mesh}\n", 3, "either file, or vertices"),
        (
            "edmp_scene: 1\nobstacles:\n  a: {type: mesh, file: gone.stl, faces: [[0, 1, 2]]}\n",
            3,
            "not both",
        ),
        (
            "edmp_scene: 1\nobstacles:\n  a:\n    type: mesh\n    vertices: [[0, 0, 0], [1, 0, 0], [0, 1, 0]]\n"
            "    faces: [[0, 1, 2]]\n",
            4,
            "not closed",
        ),
        (
            "edmp_scene: 1\nobstacles:\n  a:\n    type: mesh\n    vertices: [[0, 0, 0]]\n    faces: [[0, 1, 2.5]]\n",
            6,
            "whole numbers",
        ),
        ("edmp_scene: 1\ngoal: [1]\n", 2, "needs a start"),
    ],
)
def test_bad_scene_files_are_told_with_file_and_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(FileFormatError, match=message) as info:
        load_scene(path)
    assert str(info.value).startswith(f"{path}:{line}:")


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        ("start: [1, 2]\ngoal: [1, 2]", 2, "expected 7 joint values for panda .*got 2"),
        ("start: {panda_joint9: 1}\ngoal: [1, 2]", 2, "unknown joint of panda 'panda_joint9'; valid: panda_joint1"),
        ("start: {panda_joint1: 1}\ngoal: [1, 2]", 2, "no value for joint panda_joint2"),
        ("start: [0, 0, 0, .inf, 0, 0, 0]\ngoal: [0]", 2, "finite"),
        ("start: [0, 0, 0, 0, 0, 0, 0]\ngoal: {position: [1, 0, 0]}", 3, "quaternion"),
        ("start: [0, 0, 0, 0, 0, 0, 0]\ngoal: {position: [1, 0, 0], quaternion: [0, 0, 0, 2]}", 3, "unit length"),
        ("obstacles: {}", 1, "needs the keys start and goal"),
        ("robot: {gripper_width: 0.1}\nstart: [0]\ngoal: [0]", 2, "missing key 'name'"),
    ],
)
def test_bad_problems_are_told_with_file_and_line(tmp_path: Path, lines: str, line: int, message: str) -> None:
    path = write(tmp_path, f"edmp_scene: 1\n{lines}\n")
    with pytest.raises(FileFormatError, match=message) as info:
        load_problem(path)
    assert str(info.value).startswith(f"{path}:{line}:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("goal_constraints: []\n", ":1: missing key 'start_state'"),
        ("start_state:\n  joint_state: {name: [a], position: [1, 2]}\n", ":2: .*1 joint names need as many"),
        ("start_state:\n  joint_state: {name: [a], position: [1]}\ngoal_constraints: []\n", ":3: .*no goal"),
        (
            "start_state: {joint_state: {name: [a], position: [1]}}\ngoal_constraints:\n"
            "  - position_constraints: [{link_name: x}]\n",
            ":3: .*expected joint_constraints",
        ),
        (
            "start_state: {joint_state: {name: [a], position: [1]}}\ngoal_constraints:\n"
            "  - joint_constraints: [{joint_name: a, position: 1}]\n",
            "no value for joint panda_joint1",
        ),
    ],
)
def test_bad_requests_are_told(tmp_path: Path, text: str, message: str) -> None:
    save_moveit_scene(tmp_path / "s.yaml", SCENE)
    path = write(tmp_path, text)
    with pytest.raises(FileFormatError, match=message) as info:
        load_problem(tmp_path / "s.yaml", path)
    assert str(info.value).startswith(str(path))


def test_a_moveit_scene_alone_is_no_problem(tmp_path: Path) -> None:
    save_moveit_scene(tmp_path / "s.yaml", SCENE)
    with pytest.raises(FileFormatError, match="motion plan request"):
        load_problem(tmp_path / "s.yaml")


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="No such file"):
        load_scene(tmp_path / "gone.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(FileFormatError, match="not a text file"):
        load_scene(tmp_path / "b.yaml")


@pytest.mark.parametrize("value", [(0, 0, 0, 2), (0, 0, 0, float("nan")), (0, 0, 1)])
def test_pose_goal_needs_a_unit_quaternion(value) -> None:
    with pytest.raises(InvalidInputError, match="quaternion"):
        PoseGoal(np.zeros(3), value)
