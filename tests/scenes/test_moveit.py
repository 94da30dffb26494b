"""MoveIt's scenes and requests, and RViz's text: what is read, what is noted, and what is refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import edmp
from edmp.cli import main
from edmp.errors import EdmpWarning, FileFormatError
from edmp.geometry.poses import pose, pose_rpy
from edmp.problem import PoseGoal, load_problem, load_setting
from edmp.robots import load_robot, tool_pose
from edmp.scenes import Box, Cylinder, Mesh, Scene, Sphere, load_scene

CASES = Path(__file__).parents[3] / "shared" / "cases" / "moveit"
PANDA = load_robot("panda")
JOINTS = dict(zip(PANDA.joint_names, map(float, PANDA.home), strict=True))
IDENTITY = {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}

Entry = dict[str, object]


def placed(x: float, y: float = 0.0, z: float = 0.0, orientation: object = IDENTITY) -> Entry:
    return {"position": {"x": x, "y": y, "z": z}, "orientation": orientation}


def box(name: str, x: float, *, size: float = 0.1, frame: str = "", **more: object) -> Entry:
    shape = {"primitives": [{"type": 1, "dimensions": [size] * 3}], "primitive_poses": [placed(x)]}
    return {"header": {"frame_id": frame}, "id": name, **shape, **more}


def scene_file(folder: Path, *objects: Entry, **more: object) -> Path:
    path = folder / "scene.yaml"
    path.write_text(yaml.safe_dump({"world": {"collision_objects": list(objects)}, **more}))
    return path


def request_file(folder: Path, goal: Entry | None = None, **more: object) -> Path:
    at = {name: value + (0.2 if name == "panda_joint1" else 0.0) for name, value in JOINTS.items()}
    goal = goal or {"joint_constraints": [{"joint_name": name, "position": value} for name, value in at.items()]}
    state = {"joint_state": {"name": list(JOINTS), "position": list(JOINTS.values())}}
    path = folder / "request.yaml"
    path.write_text(yaml.safe_dump({"start_state": state, "goal_constraints": [goal], **more}))
    return path


def positions(scene: Scene) -> dict[str, list[float]]:
    return {obstacle.name: obstacle.X_WO[:3, 3].round(9).tolist() for obstacle in scene}


# --- frames ----------------------------------------------------------------------------------------------------------


def test_frames_are_resolved_or_refused_by_name(tmp_path: Path) -> None:
    """A frame that is the only one in use is no reason to take it for the world."""
    with pytest.raises(FileFormatError, match=r"scene.yaml:\d+: .*unknown frame 'camera'; known: 'world'"):
        load_scene(scene_file(tmp_path, box("a", 0.5, frame="camera")))
    there = {"child_frame_id": "camera", "transform": {"translation": [0, 0, 1], "rotation": [0, 0, 0, 1]}}
    scene = load_scene(scene_file(tmp_path, box("a", 0.5, frame="/camera"), fixed_frame_transforms=[there]))
    assert positions(scene) == {"a": [0.5, 0.0, 1.0]}


def test_the_robots_frames_are_known_where_it_stands(tmp_path: Path) -> None:
    virtual = {"multi_dof_joint_state": {"transforms": [{"translation": [1, 0, 0.5], "rotation": [0, 0, 1, 0]}]}}
    path = scene_file(tmp_path, box("a", 0.5, frame="panda_link0"), robot_model_name="panda", robot_state=dict(virtual))
    assert positions(load_scene(path)) == {"a": [0.5, 0.0, 0.5]}
    assert positions(load_setting(path)[1]) == {"a": [0.5, 0.0, 0.5]}
    # The robot of the caller counts where the file does not say.
    path = scene_file(tmp_path, box("a", 0.5, frame="panda_link0"))
    moved = PANDA.with_base(pose((0, 0, 2.0)))
    assert positions(load_setting(path, robot=moved)[1]) == {"a": [0.5, 0.0, 2.0]}
    path = scene_file(tmp_path, box("a", 0.5, frame="base_link"), robot_model_name="ur5")
    X_WR = pose_rpy((0, 0, 0.9144), (0, 0, 1.57))
    for scene in (load_scene(path), load_setting(path)[1]):
        np.testing.assert_allclose(scene["a"].X_WO, X_WR @ pose((0.5, 0, 0)), atol=1e-12)
    # Links that move are known where the state of all joints is.
    state = {"joint_state": {"name": list(JOINTS), "position": list(JOINTS.values())}}
    path = scene_file(tmp_path, box("a", 0.1, frame="panda_hand_tcp"), robot_state=state)
    X_WT = tool_pose(PANDA, torch.as_tensor(PANDA.home)).numpy()
    np.testing.assert_allclose(load_setting(path)[1]["a"].X_WO, X_WT @ pose((0.1, 0, 0)), atol=1e-9)
    with pytest.raises(FileFormatError, match="unknown frame 'panda_hand_tcp'"):
        load_setting(scene_file(tmp_path, box("a", 0.1, frame="panda_hand_tcp")))


def test_a_robot_that_stands_elsewhere_than_a_transform_says_is_refused(tmp_path: Path) -> None:
    there = {"child_frame_id": "panda_link0", "transform": {"translation": [0, 0, 1], "rotation": [0, 0, 0, 1]}}
    path = scene_file(tmp_path, box("a", 0.5, frame="panda_link0"), fixed_frame_transforms=[there])
    with pytest.raises(FileFormatError, match=r"puts frame 'panda_link0' elsewhere than the robot does"):
        load_setting(path)


def test_objects_in_frames_of_others(tmp_path: Path) -> None:
    table = box("table", 1.0, pose=placed(0, 0, 0.5), subframe_names=["rim"], subframe_poses=[placed(0, 0.3)])
    on = [box("cup", 0.1, frame="table"), box("fork", 0.1, frame="table/rim")]
    scene = load_scene(scene_file(tmp_path, table, *on))
    assert positions(scene) == {"table": [1, 0, 0.5], "cup": [0.1, 0, 0.5], "fork": [0.1, 0.3, 0.5]}
    with pytest.raises(FileFormatError, match="unknown frame 'table/leg'"):
        load_scene(scene_file(tmp_path, table, box("cup", 0.1, frame="table/leg")))


# --- operations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remove", ["1", "REMOVE", "remove", '"\\x01"', "!!binary AQ==", "0x01", r"'\x01'"])
def test_removed_objects_are_gone(tmp_path: Path, remove: str) -> None:
    path = scene_file(tmp_path, box("a", 0.5), box("b", 0.7), {"id": "a", "operation": "THIS"})
    path.write_text(path.read_text().replace("THIS", remove))
    assert load_scene(path).names == ("b",)


@pytest.mark.parametrize("add", ["0", "ADD", '"\\0"', "!!binary AA=="])
def test_adding_again_replaces(tmp_path: Path, add: str) -> None:
    path = scene_file(tmp_path, box("a", 0.5), box("a", 0.7, operation="THIS"))
    path.write_text(path.read_text().replace("THIS", add))
    assert positions(load_scene(path)) == {"a": [0.7, 0.0, 0.0]}


def test_append_move_and_remove_all(tmp_path: Path) -> None:
    scene = load_scene(scene_file(tmp_path, box("a", 0.5), box("a", 0.7, operation=2), box("b", 0.9, operation=2)))
    assert positions(scene) == {"a[0]": [0.5, 0, 0], "a[1]": [0.7, 0, 0], "b": [0.9, 0, 0]}
    moved = {"id": "a", "pose": placed(0.0, 1.0), "operation": 3}
    assert positions(load_scene(scene_file(tmp_path, box("a", 0.5), moved))) == {"a": [0.0, 1.0, 0.0]}
    whole = box("a", 0.5, pose=placed(1.0))
    assert positions(load_scene(scene_file(tmp_path, whole, moved))) == {"a": [0.5, 1.0, 0.0]}
    assert len(load_scene(scene_file(tmp_path, box("a", 0.5), box("b", 0.7), {"id": "", "operation": 1}))) == 0
    with pytest.raises(FileFormatError, match=r"no object 'c' to move; known: a"):
        load_scene(scene_file(tmp_path, box("a", 0.5), {**moved, "id": "c"}))
    with pytest.raises(FileFormatError, match=r"unknown operation '7'; known: ADD \(0\), REMOVE \(1\)"):
        load_scene(scene_file(tmp_path, box("a", 0.5, operation=7)))
    with pytest.warns(EdmpWarning, match="no object 'c' to remove"):
        load_scene(scene_file(tmp_path, box("a", 0.5), {"id": "c", "operation": 1}))


def test_primitives_by_number_and_by_name(tmp_path: Path) -> None:
    shapes = [(1, [0.1, 0.2, 0.3]), ("SPHERE", [0.1]), (3, [0.4, 0.1]), ("cone", [0.4, 0.1])]
    primitives = [{"type": kind, "dimensions": sizes} for kind, sizes in shapes]
    item = {"id": "a", "primitives": primitives, "primitive_poses": [placed(0.5)] * 4}
    with pytest.warns(EdmpWarning, match="cone is taken as a pyramid of 48 sides"):
        scene = load_scene(scene_file(tmp_path, item))
    found = [obstacle.shape for obstacle in scene]
    assert found[:3] == [Box((0.1, 0.2, 0.3)), Sphere(0.1), Cylinder(0.1, 0.4)]
    assert isinstance(found[3], Mesh)
    turns = np.linspace(0, 2 * np.pi, 360)
    rim = np.column_stack([0.1 * np.cos(turns), 0.1 * np.sin(turns), np.full(360, -0.2)])
    normals = np.column_stack([np.cos(turns), np.sin(turns)])
    assert (normals @ found[3].vertices[:48, :2].T).max(axis=1).min() >= 0.1  # it contains the cone
    assert np.linalg.norm(found[3].vertices[:48, :2], axis=1).max() < 0.1003
    assert found[3].vertices[:, 2].min() == rim[0, 2]
    with pytest.raises(FileFormatError, match="unknown primitive type '5'; valid: box, sphere, cylinder, cone"):
        load_scene(scene_file(tmp_path, {**item, "primitives": [{"type": 5, "dimensions": [1]}] * 4}))


def test_a_quaternion_of_zeros_is_the_identity_with_a_note(tmp_path: Path) -> None:
    item = box("a", 0.5)
    item["primitive_poses"] = [placed(0.5, orientation=dict.fromkeys("xyzw", 0.0))]
    with pytest.warns(EdmpWarning, match=r"scene.yaml:\d+: .*orientation: a quaternion of zeros is taken as the ident"):
        scene = load_scene(scene_file(tmp_path, item))
    np.testing.assert_array_equal(scene["a"].X_WO, pose((0.5, 0, 0)))


def test_padding_and_scale_of_links_are_refused_unless_they_say_nothing(tmp_path: Path) -> None:
    neutral = {
        "link_padding": [{"link_name": "panda_hand", "padding": 0.0}],
        "link_scale": [{"link_name": "panda_hand", "scale": 1.0}],
    }
    assert load_scene(scene_file(tmp_path, box("a", 0.5), **neutral)).names == ("a",)
    for key, value in (("link_padding", {"padding": 0.02}), ("link_scale", {"scale": 1.1})):
        more = {key: [{"link_name": "panda_hand", **value}]}
        with pytest.raises(FileFormatError, match=rf"{key} \S+ of link 'panda_hand' is not supported"):
            load_scene(scene_file(tmp_path, box("a", 0.5), **more))


def test_of_several_documents_the_first_is_read_with_a_note(tmp_path: Path) -> None:
    path = scene_file(tmp_path, box("a", 0.5))
    for after in ("---\n", f"---\n{path.read_text().replace('id: a', 'id: b')}---\n"):
        other = tmp_path / "echo.yaml"
        other.write_text(path.read_text() + after)
        with pytest.warns(EdmpWarning, match="echo.yaml: only the first of its documents"):
            assert load_scene(other).names == ("a",)


# --- the robot -------------------------------------------------------------------------------------------------------


def test_attached_objects_are_held(tmp_path: Path) -> None:
    def held(**entry: object) -> Entry:
        touching = {"link_name": "panda_hand", "touch_links": ["panda_leftfinger", "panda_link8"]}
        return {"attached_collision_objects": [{**touching, "object": entry}]}

    path = scene_file(tmp_path, box("a", 0.5), robot_state=held(**box("mug", 0.1, frame="panda_hand")))
    robot, scene = load_setting(path)
    hand, mug = (robot.links[robot.link_index(name)] for name in ("panda_hand", "mug"))
    np.testing.assert_allclose(mug.X_BL, hand.X_BL @ pose((0.1, 0, 0)))
    assert scene.names == ("a",)
    with pytest.warns(EdmpWarning, match="attached to the robot, and so no part of the scene: mug"):
        load_scene(path)
    # One of the scene's objects, by its name alone: it leaves the world, and is held where it is.
    state = {"joint_state": {"name": list(JOINTS), "position": list(JOINTS.values())}}
    path = scene_file(tmp_path, box("a", 0.5), box("mug", 0.6), robot_state={**state, **held(id="mug")})
    robot, scene = load_setting(path)
    assert scene.names == ("a",)
    mug = robot.links[robot.link_index("mug")]
    X_WT = tool_pose(PANDA, torch.as_tensor(PANDA.home)).numpy()
    np.testing.assert_allclose(X_WT @ np.linalg.inv(PANDA.tool.X_BT) @ mug.X_BL, pose((0.6, 0, 0)), atol=1e-9)
    with pytest.raises(FileFormatError, match="object 'cup' has neither primitives nor meshes"):
        load_setting(scene_file(tmp_path, box("a", 0.5), robot_state=held(id="cup")))


def matrix(*names: str, allowed: bool = True) -> Entry:
    rows = [{"enabled": [a != b and allowed for b in names]} for a in names]
    return {"entry_names": list(names), "entry_values": rows}


def test_a_matrix_that_lets_a_link_touch_an_object_names_the_contact(tmp_path: Path) -> None:
    path = scene_file(tmp_path, box("a", 0.5), box("b", 0.7), allowed_collision_matrix=matrix("panda_hand", "a"))
    with pytest.warns(EdmpWarning, match="panda_hand and a may touch where a motion begins"):
        robot, _ = load_setting(path)
    assert [(one.link, one.obstacle) for one in robot.allowed_contacts] == [("panda_hand", "a")]
    # Defaults hold for what is not said of the pair.
    defaults = {"default_entry_names": ["a", "panda_link1"], "default_entry_values": [True, False]}
    path = scene_file(
        tmp_path, box("a", 0.5), allowed_collision_matrix={**matrix("panda_hand", "a", allowed=False), **defaults}
    )
    with pytest.warns(EdmpWarning, match="panda_link0 and a, "):
        robot, _ = load_setting(path)
    touching = {one.link for one in robot.allowed_contacts}
    assert touching == set(PANDA.link_names) - {"panda_hand", "panda_link1"}
    bad = {**matrix("a", "b"), "entry_values": [[True]]}
    with pytest.raises(FileFormatError, match="2 entry_names need as many entry_values, got 1"):
        load_setting(scene_file(tmp_path, box("a", 0.5), allowed_collision_matrix=bad))


def test_pairs_of_links_are_for_the_robot_to_say(tmp_path: Path) -> None:
    path = scene_file(tmp_path, box("a", 0.5), allowed_collision_matrix=matrix("panda_hand", "panda_link5"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        robot, _ = load_setting(path)
    assert robot.collision_pairs == PANDA.collision_pairs
    assert not robot.allowed_contacts


# --- requests --------------------------------------------------------------------------------------------------------

REACH = {"link_name": "panda_hand", "header": {"frame_id": "panda_link0"}}


def region(shape: Entry, **where: object) -> Entry:
    return {**REACH, "constraint_region": {"primitives": [shape], "primitive_poses": [placed(0.5, 0.1, 0.4)]}, **where}


DOWN = {**REACH, "orientation": {"x": 1.0, "y": 0.0, "z": 0.0, "w": 0.0}, "absolute_x_axis_tolerance": 0.01}
BALL = {"type": 2, "dimensions": [0.01]}


def test_position_and_orientation_are_a_pose_goal(tmp_path: Path) -> None:
    scene = scene_file(tmp_path, box("a", -1.5))
    goal = {"position_constraints": [region(BALL)], "orientation_constraints": [DOWN]}
    with pytest.warns(EdmpWarning, match="the middle of what the goal allows is taken: link 'panda_hand'"):
        problem = load_problem(scene, request_file(tmp_path, goal), robot=PANDA.with_base(pose((0, 0, 0.3))))
    assert isinstance(problem.goal, PoseGoal)
    np.testing.assert_allclose(problem.goal.position, [0.5, 0.1, 0.4 + 0.3 - 0.1034], atol=1e-9)
    offset = [region(BALL, target_point_offset={"x": 0.0, "y": 0.0, "z": 0.1034})]
    with pytest.warns(EdmpWarning):
        problem = load_problem(scene, request_file(tmp_path, {**goal, "position_constraints": offset}))
    np.testing.assert_allclose(problem.goal.position, [0.5, 0.1, 0.4], atol=1e-9)
    result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot)
    assert result.path is not None
    reached = tool_pose(problem.robot, torch.as_tensor(result.path[-1])).numpy()
    np.testing.assert_allclose(reached, problem.goal.X_WT, atol=2e-3)


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        ({"position_constraints": [region(BALL)]}, "a position or an orientation alone is not supported"),
        ({"visibility_constraints": [{}]}, "visibility_constraints are not supported"),
        (
            {"joint_constraints": [{"joint_name": "a", "position": 1}], "orientation_constraints": [DOWN]},
            "joint_constraints and others at once",
        ),
        (
            {"position_constraints": [region(BALL)], "orientation_constraints": [{**DOWN, "link_name": "panda_link7"}]},
            "must be of one link, got 'panda_hand' and 'panda_link7'",
        ),
        (
            {
                "position_constraints": [region(BALL, link_name="panda_link3")],
                "orientation_constraints": [{**DOWN, "link_name": "panda_link3"}],
            },
            "a goal for link 'panda_link3' is not supported; expected one of panda_hand_tcp",
        ),
        ({"joint_constraints": [{"joint_name": "a", "position": 1, "tolerance_above": -1}]}, "must not be negative"),
    ],
)
@pytest.mark.filterwarnings("ignore::edmp.EdmpWarning")
def test_goals_that_are_not_supported_are_refused_by_name(tmp_path: Path, goal: Entry, says: str) -> None:
    with pytest.raises(FileFormatError, match=rf"request.yaml:\d+: .*{says}"):
        load_problem(scene_file(tmp_path), request_file(tmp_path, goal))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"path_constraints": {"visibility_constraints": [{}]}}, "visibility_constraints along the path"),
        ({"trajectory_constraints": {"constraints": [{}]}}, "trajectory_constraints are not supported"),
        ({"max_cartesian_speed": -0.1}, r"expected a speed from 0 \(not set\) on"),
        ({"max_velocity_scaling_factor": -0.1}, r"from 0 \(not set\) to 1, got -0.1"),
    ],
)
def test_what_a_request_asks_for_beyond_is_refused_by_name(tmp_path: Path, more: Entry, says: str) -> None:
    with pytest.raises(FileFormatError, match=rf"request.yaml:\d+: .*{says}"):
        load_problem(scene_file(tmp_path), request_file(tmp_path, **more))
    nothing = {"path_constraints": {"name": "", "joint_constraints": []}, "max_cartesian_speed": 0.0}
    assert load_problem(scene_file(tmp_path), request_file(tmp_path, **nothing)).start.shape == (7,)


def test_a_limit_of_the_speed_of_the_tool_is_honoured(tmp_path: Path) -> None:
    limited = request_file(tmp_path, max_cartesian_speed=0.1, cartesian_speed_limited_link="panda_hand_tcp")
    problem = load_problem(scene_file(tmp_path), limited)
    assert problem.tool_speed is not None
    assert problem.tool_speed[0] == 0.1
    other = request_file(tmp_path, max_cartesian_speed=0.1, cartesian_speed_limited_link="panda_link4")
    with pytest.raises(FileFormatError, match=r"a limit for link 'panda_link4' is not supported; .*panda_hand_tcp"):
        load_problem(scene_file(tmp_path), other)


# --- RViz ------------------------------------------------------------------------------------------------------------

OLDER = """my kitchen
* the desk
1
box
0.8 1.2 0.04
0.6 0 0.2
0 0 0 1
0 0 0 0
* two things
2
sphere
0.1
0.3 0.4 0.4
0 0 0 1
0 0 0 0
cylinder
0.05 0.4
0.3 0.4 0.8
0 0 0 1
0 0 0 0
.
"""
NEWER = """(noname)+
* the desk
0.6 0 0.2
0 0 0.7071067811865476 0.7071067811865476
1
box
0.8 1.2 0.04
0 0.1 0
0 0 0 1
0 0 0 0
1
corner
0.4 0.6 0.02
0 0 0 1
* wedge
0 0 0
0 0 0 1
1
mesh
4 4
0 0 0
0.1 0 0
0 0.1 0
0 0 0.1
0 2 1
0 1 3
1 2 3
0 3 2
0.5 0 0.5
0 0 0 1
0 0 0 0
0
.
"""


def test_both_versions_of_rviz_text_are_read(tmp_path: Path) -> None:
    path = tmp_path / "desk.scene"
    path.write_text(OLDER)
    scene = load_scene(path)
    assert positions(scene) == {
        "the desk": [0.6, 0, 0.2],
        "two things[0]": [0.3, 0.4, 0.4],
        "two things[1]": [0.3, 0.4, 0.8],
    }
    assert [one.shape for one in scene] == [Box((0.8, 1.2, 0.04)), Sphere(0.1), Cylinder(0.05, 0.4)]
    path.write_text(NEWER.replace("\n", "\r\n"))
    scene = load_scene(path)
    assert positions(scene) == {"the desk": [0.5, 0, 0.2], "wedge": [0.5, 0, 0.5]}
    assert isinstance(scene["wedge"].shape, Mesh)
    path.write_text("nothing\n.\n")
    assert load_scene(path) == Scene()


def test_an_rviz_scene_is_planned_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "desk.scene", tmp_path / "plan.json"
    path.write_text(NEWER)
    ends = [" ".join(map(str, q)) for q in (PANDA.home, PANDA.home + np.array([-0.2, 0, 0, 0, 0, 0, 0]))]
    with pytest.raises(SystemExit) as exit_:
        main(["plan", "--scene", str(path), "--start", ends[0], "--goal", ends[1], "--out", str(out)])
    assert exit_.value.code in (0, 1), capsys.readouterr().err
    assert edmp.load_plan(out).problem.scene.names == ("the desk", "wedge")
    assert load_problem(path, request_file(tmp_path)).scene.names == ("the desk", "wedge")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[:-2], "the file ends early"),
        (lambda text: text.replace("box", "plane"), "unknown shape 'plane'; known: box.*thin box"),
        (lambda text: text.replace("0.8 1.2", "0.8 wide"), "desk.scene:7: expected a number, got 'wide'"),
        (lambda text: text.replace("0.8 1.2", "0.8 -1.2"), "desk.scene:7: .*must be positive"),
        (lambda text: text.replace("4 4\n", "4 999999999\n"), "expected a number|ends early"),
        (lambda text: text.replace("0 3 2", "0 3 4"), "vertex beyond the 4"),
        (lambda text: text.replace("* wedge", "* the desk"), "desk.scene: .*the desk"),
        (lambda text: text.replace("0.4 0.6 0.02", "0.4 nan 0.02"), "finite number, got nan"),
    ],
)
def test_damaged_rviz_text_is_told_with_its_line(tmp_path: Path, change: Callable[[str], str], says: str) -> None:
    path = tmp_path / "desk.scene"
    path.write_text(change(NEWER))
    with pytest.raises(FileFormatError, match=says):
        load_scene(path)


# --- files that failed -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside this checkout")
def test_cases() -> None:
    with pytest.warns(EdmpWarning, match="may touch"):
        assert load_setting(CASES / "acm.yaml")[0].allowed_contacts
    assert load_scene(CASES / "desk.scene").names == ("desk", "pillar")
    with pytest.warns(EdmpWarning, match="only the first of its documents"):
        assert load_scene(CASES / "docs.yaml").names == ("desk",)
    with pytest.warns(EdmpWarning, match="quaternion of zeros"):
        assert load_scene(CASES / "zeroquat.yaml").names == ("desk",)
    with pytest.warns(EdmpWarning, match="XYZ Euler angles are kept as the z axis of panda_hand within 0.1 rad"):
        assert len(load_problem(CASES / "desk.scene", CASES / "pathc.yaml").constraints) == 2
