"""Every format that edmp reads: a seed file, how it is damaged, and how it is read.

Run as a program with names of formats and a number, it reads so many mutants of each in this process, with bounded
memory and time, and prints what became of them as JSON.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "bench")]
sys.path[:0] = [str(Path(__file__).parents[1] / "recordings")]

from mutations import (  # noqa: E402
    Mutation,
    as_demos,
    as_hdf5,
    as_json,
    as_json_lines,
    as_mcap,
    as_npz,
    as_safetensors,
    as_text,
    as_yaml,
    damaged,
)

MEMORY = 4 << 30
"""What reading may take on top of what the imports have taken [bytes of address space]."""

PATIENCE = 5.0
"""For one mutant [s]."""

TINY = {
    "edmp_robot": 1, "name": "tiny", "notes": "three joints", "home": [0.0, 0.5, 0.1], "tool": "tip",
    "base": {"xyz": [0, 0, 0.1], "rpy": [0, 0, 0]},
    "joints": [
        {"name": "j1", "kind": "revolute", "position": [-2, 2], "velocity": 1, "acceleration": 4, "jerk": 80,
         "xyz": [0, 0, 0.1], "rpy": [0, 0, 0], "effort": 50},
        {"name": "j2", "kind": "revolute", "position": [-2, 2], "velocity": 1, "acceleration": 4, "jerk": 80,
         "xyz": [0, 0, 0.3], "rpy": [1.57, 0, 0]},
        {"name": "j3", "kind": "prismatic", "position": [0, 0.3], "velocity": 0.2, "acceleration": 1, "jerk": 20,
         "xyz": [0.3, 0, 0], "quaternion": [0, 0.7071067811865476, 0, 0.7071067811865476]},
    ],
    "links": [
        {"name": "base", "body": 0, "xyz": [0, 0, 0], "spheres": [[0, 0, 0, 0.1]], "mass": 1.5, "com": [0, 0, 0],
         "hulls": [[[-0.05, -0.05, -0.05], [0.05, -0.05, -0.05], [-0.05, 0.05, -0.05], [0.05, 0.05, 0.05]]],
         "box": {"size": [0.1, 0.1, 0.1], "xyz": [0, 0, 0]}, "source": [{"box": [0.1, 0.1, 0.1]}]},
        {"name": "l1", "body": 1, "like": "base", "attached": False},
        {"name": "l2", "body": 2, "spheres": [[0, 0, 0, 0.1], [0.3, 0, 0, 0.05]], "box": {"size": [0.4, 0.1, 0.1]},
         "hulls": [[[-0.05, -0.05, -0.05], [0.35, -0.05, -0.05], [-0.05, 0.05, -0.05], [0.05, 0.05, 0.05]]]},
        {"name": "f1", "body": 3, "xyz": [0, 0.02, 0.05], "spheres": [[0, 0, 0.02, 0.03]],
         "hulls": [[[0, 0, 0], [0.01, 0, 0], [0, 0.01, 0], [0, 0, 0.05]]], "box": {"size": [0.01, 0.01, 0.05]}},
        {"name": "f2", "body": 3, "xyz": [0, -0.02, 0.05], "spheres": [[0, 0, 0.02, 0.03]],
         "hulls": [[[0, 0, 0], [0.01, 0, 0], [0, -0.01, 0], [0, 0, 0.05]]], "box": {"size": [0.01, 0.01, 0.05]}},
    ],
    "tools": [{"name": "tip", "body": 3, "xyz": [0, 0, 0.1]}],
    "gripper": {"width": 0.04, "max_width": 0.08, "fingers": [{"link": "f1", "axis": [0, 1, 0]},
                                                              {"link": "f2", "axis": [0, -1, 0]}]},
    "collision_pairs": [["base", "l2"], ["base", "f1"]],
}  # fmt: skip

URDF = b"""<?xml version="1.0"?>
<robot name="arm">
  <link name="base"><inertial><mass value="2"/><origin xyz="0 0 0.1"/></inertial>
    <collision><origin xyz="0 0 0.05" rpy="0 0 0"/>
      <geometry><cylinder radius="0.05" length="0.1"/></geometry></collision>
  </link>
  <joint name="j1" type="revolute"><parent link="base"/><child link="l1"/><origin xyz="0 0 0.1"/><axis xyz="0 0 1"/>
    <limit lower="-2" upper="2" velocity="1" effort="10"/></joint>
  <link name="l1"><collision><geometry><box size="0.1 0.1 0.3"/></geometry></collision></link>
  <joint name="j2" type="continuous"><parent link="l1"/><child link="l2"/><origin xyz="0 0 0.3" rpy="1.57 0 0"/>
    <axis xyz="0 1 0"/><limit velocity="1" effort="10"/></joint>
  <link name="l2"><collision><geometry><sphere radius="0.05"/></geometry></collision></link>
  <joint name="j3" type="prismatic"><parent link="l2"/><child link="l3"/><axis xyz="1 0 0"/>
    <limit lower="0" upper="0.3" velocity="0.2" effort="5"/></joint>
  <link name="l3"/>
  <joint name="flange" type="fixed"><parent link="l3"/><child link="tip"/><origin xyz="0 0 0.1"/></joint>
  <link name="tip"/>
</robot>
"""


@dataclass(frozen=True)
class Format:
    """Attributes:
    suffix: of the file.
    seed: writes a sound file, given its path.
    read: reads it, given its path; what it raises counts.
    mutate: how it is damaged.
    """

    suffix: str
    seed: Callable[[Path], object]
    read: Callable[[Path], object]
    mutate: Mutation


# --- seeds -----------------------------------------------------------------------------------------------------------


def _tiny_robot() -> Any:
    from edmp.robots.description import robot_from_document

    return robot_from_document(TINY)


def _tiny_problem() -> Any:
    import numpy as np
    from plan_cases import every_shape

    from edmp.problem import PoseGoal, Problem

    pose = PoseGoal([0.3, 0.1, 0.4], [1, 0, 0, 0])
    goals, scene = (np.array([1.0, -0.5, 0.2]), pose), every_shape().with_region("tray", (1.0, 2.0, 1.0))
    start, constraints = np.array([0.0, 0.5, 0.1]), _every_constraint()
    return Problem(_tiny_robot(), scene, start, goals, "tiny", constraints=constraints)


def _every_constraint() -> Any:
    import numpy as np

    import edmp

    return (
        edmp.Upright(0.2, axis=(0, 1, 0), frame="tip"),
        edmp.Oriented(np.eye(3), (0.1, 0.2, np.inf)),
        edmp.InBox((0.5, np.inf, 1.0), np.eye(4)),
        edmp.InRegion("tray", frame="l2"),
        edmp.InSphere(0.5, (0, 0, 0.5), offset=(0.1, 0, 0)),
        edmp.OnPlane((0, 0, 0.5)),
        edmp.OnLine((0, 0, 0.5), (1, 1, 0), 0.01),
        edmp.LookAt((1, 0, 0), 0.5),
        edmp.JointRange("j1", -1.0, 1.0),
        edmp.KeepDistance("can", 0.05),
    )


def _plan() -> Any:
    import dataclasses

    from plan_cases import solved

    from edmp.constraints import Kept
    from edmp.planfile import PlanFile

    problem = _tiny_problem()
    alone = dataclasses.replace(problem, goal=problem.goal[0])
    result = solved(alone)
    kept = tuple(Kept(one, 0.01, 0.1, edge=k) for k, one in enumerate(problem.constraints))
    return PlanFile(problem, dataclasses.replace(result, best=dataclasses.replace(result.best, kept=kept)))


def _write_plan(path: Path) -> None:
    from edmp.planfile import save_plan

    plan = _plan()
    save_plan(path, plan.problem, plan.result)


def _write_sensed_scene(path: Path) -> None:
    from plan_cases import every_sensed_shape

    from edmp.scenes import save_scene

    save_scene(path, every_sensed_shape())


def _write_sensed_plan(path: Path) -> None:
    import dataclasses

    from plan_cases import every_sensed_shape

    from edmp.planfile import save_plan

    plan = _plan()
    scene = every_sensed_shape().with_region("tray", (1.0, 2.0, 1.0))
    save_plan(path, dataclasses.replace(plan.problem, scene=scene), plan.result)


def _cloud(name: str) -> Callable[[Path], object]:
    from sensed_cases import write_cloud

    return lambda path: write_cloud(path, name)


def _octree(name: str) -> Callable[[Path], object]:
    from sensed_cases import OCTREES

    return lambda path: path.write_bytes(OCTREES[name])


def _write_depth(path: Path) -> None:
    import numpy as np
    from PIL import Image

    Image.fromarray((np.arange(600).reshape(20, 30) * 7).astype(np.uint16)).save(path)


def _write_camera(path: Path) -> None:
    from sensed_cases import CALIBRATION

    path.write_text(CALIBRATION)


def _write_reward(path: Path) -> None:
    path.write_text("free: 1.0\nlength: 0.3  # off\nduration: 0\nclearance: 1e-1\nenough: 0.03\n")


def _write_octomap(path: Path) -> None:
    import yaml
    from sensed_cases import octomap

    path.write_text(yaml.safe_dump({"robot_model_name": "panda", "world": {"octomap": octomap()}}))


def _write_arrays(path: Path) -> None:
    """What lies beside a scene, and the scene beside it."""
    scene = path.with_name("beside.yaml")
    _write_sensed_scene(scene)
    (beside,) = scene.parent.glob(f"{scene.name}.*.npz")
    path.write_bytes(beside.read_bytes())


def _read_arrays(path: Path) -> None:
    from edmp.scenes import load_scene

    (beside,) = path.parent.glob("beside.yaml.*.npz")
    beside.write_bytes(path.read_bytes())
    load_scene(path.with_name("beside.yaml"))


def _write_task(path: Path) -> None:
    """Two phases: the arm moves, and the fingers close on what it held."""
    import numpy as np

    import edmp
    from edmp.geometry.poses import pose
    from edmp.geometry.tool_path import ToolPath
    from edmp.taskplan import Held, Part

    plan = _plan()
    problem, best = plan.problem, plan.result.best
    held = Held("cup", edmp.Box((0.02, 0.02, 0.05)), "l2", np.eye(4))
    arm = problem.robot.with_gripper(0.05)
    carrying = arm.with_attachment("cup", held.shape, held.X_LA, link="l2")
    X_WT = np.stack([np.eye(4), pose((0.0, 0.0, -0.05))])
    line = ToolPath(X_WT, np.zeros(0), 1e-3, 0.01)
    parts = (Part("transit", 0.5 * best.duration), Part("lower", best.duration, line))
    carry = edmp.Phase(
        "carry", carrying, problem.scene, best.path[0], best, 0.05, best.duration, held, parts, problem.constraints
    )
    close = edmp.Phase("close", arm, problem.scene, carry.end, None, 0.01, 0.4)
    status, stats = plan.result.status, plan.result.stats
    edmp.TaskPlan(
        status, "certified", arm, problem.scene, best.path[0], (carry, close), stats, grasp=3, name="task"
    ).save(path)


def _view_task(path: Path) -> None:
    """What loads can be judged again, and looked at any moment."""
    import edmp
    from edmp.validate import judge_task

    plan = edmp.load_task(path)
    judge_task(plan)
    if plan.phases:
        for time in (0.0, 0.3 * plan.duration, 1e9):
            plan.at(time)


def _write_failed_plan(path: Path) -> None:
    from plan_cases import failed

    from edmp.planfile import save_plan

    save_plan(path, _tiny_problem(), failed(message='link "l2" touches "can" by 3 mm at the start'))


def _write_blocked_plan(path: Path) -> None:
    """A line of the tool that cannot be followed to its end."""
    import dataclasses

    import edmp
    from edmp.planfile import save_plan

    plan = _plan()
    poses = [edmp.PoseGoal((0.3, y, 0.4), (1, 0, 0, 0)) for y in (0.1, 0.2)]
    line = edmp.Via(poses, blend=0.02, tolerance=0.002)
    problem = dataclasses.replace(plan.problem, goal=line, tool_speed=0.2, tool_acceleration=(1.0, 2.0))
    best = dataclasses.replace(plan.result.best, goal_index=0, tool_deviation=(1e-4, 1e-3))
    blocked = edmp.Blocked(0.5, edmp.BlockedBy.LIMIT, "joint j1 comes to its limit", best)
    result = dataclasses.replace(
        plan.result, status=edmp.Status.LINE_BLOCKED, best=None, alternatives=(), blocked=blocked
    )
    save_plan(path, problem, result)


def _write_line(path: Path) -> None:
    path.write_text(
        "edmp_scene: 1\nstart: [0, -0.8, 0, -2.4, 0, 1.6, 0.8]\ntool_speed: [0.2, 1]\ntool_acceleration: 0.5\n"
        "goal:\n  via:\n  - {position: [0.5, 0, 0.5], quaternion: [1, 0, 0, 0]}\n"
        "  - {position: [0.5, 0.2, 0.5], rpy: [3.14, 0, 0]}\n"
        "  blend: [0.02]\n  tolerance: 0.002\n  rotation_tolerance: 0.01\nobstacles: {}\n"
    )


def _write_trace(path: Path) -> None:
    import numpy as np

    from edmp.trace import Batch, Trace, save_trace

    rng = np.random.default_rng(0)
    batches = [
        Batch(stage, level, rng.normal(size=(3, 8, 3)).astype(np.float32), rng.random(3, np.float32), np.arange(3) > 1)
        for stage, level in (("sample", 5.0), ("sample", 0.0), ("repair", 5.0))
    ]
    save_trace(path, Trace(_plan(), tuple(batches)))


def _write_recording(path: Path) -> None:
    import numpy as np

    from edmp.execution import Recording
    from edmp.recordings.mcap_file import RecordingFile, save_recording
    from edmp.recordings.recording import Handled

    rng, n = np.random.default_rng(0), 12
    tables, times = [rng.normal(size=(n, 3)) for _ in range(6)], 1e-3 * np.arange(n)
    tables[1][3] = np.nan
    looks = Handled(np.array([0, 5]), np.array([0.02, np.nan]), {"cup": np.stack([np.eye(4)] * 2)})
    recording = Recording(("j1", "j2", "j3"), times, times + 1e-4, *tables, ((3, "f1", "can"),), looks)
    save_recording(path, RecordingFile(recording, _plan(), {"driver": "kinematic"}))


def _write_scene(path: Path) -> None:
    from plan_cases import every_shape

    from edmp.scenes import save_scene

    save_scene(path, every_shape(), name="things")


def _write_problem(path: Path) -> None:
    import yaml
    from plan_cases import every_shape

    from edmp.constraints.documents import document_of
    from edmp.scenes import save_scene

    save_scene(path, every_shape().with_region("tray", (1.0, 2.0, 1.0)), name="things")
    names = {"tip": "panda_hand", "l2": "panda_link2", "j1": "panda_joint1"}  # of the tiny robot and of the Panda
    constraints = [document_of(one) for one in _every_constraint()]
    document = yaml.safe_load(path.read_text()) | {
        "robot": {"name": "panda", "gripper_width": 0.04, "base": {"position": [0, 0, 0.1]}},
        "start": [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785],
        "goal": [{"position": [0.5, 0.1, 0.4], "quaternion": [1, 0, 0, 0]}, {"panda_joint1": 0.1, "panda_joint2": 0.2}],
        "constraints": [{key: names.get(str(value), value) for key, value in one.items()} for one in constraints],
    }
    document["goal"][1] = {f"panda_joint{i + 1}": value for i, value in enumerate(document["start"])}
    path.write_text(yaml.safe_dump(document))


def _write_moveit_scene(path: Path) -> None:
    from plan_cases import TETRAHEDRON

    from edmp.geometry.poses import pose_rpy
    from edmp.scenes import Box, Cylinder, Scene, Sphere
    from edmp.scenes.moveit import MoveItScene
    from edmp.scenes.moveit_write import save_moveit_scene

    scene = Scene.of(
        {
            "table": (Box((1.0, 0.5, 0.04)), (0.5, 0, 0.2)),
            "can": (Cylinder(0.03, 0.14), (0.4, 0.3, 0.3)),
            "ball": (Sphere(0.05), (0.3, 0.3, 0.1)),
            "wedge": (TETRAHEDRON, (0.9, 0.7, 0.1)),
        }
    )
    joints = {f"panda_joint{i + 1}": 0.1 * i - (1.5 if i == 3 else 0.0) for i in range(7)}
    save_moveit_scene(path, MoveItScene(scene, "panda", joints, pose_rpy((0.1, 0.2, 0.9), (0, 0, 1.57))))


def _write_moveit_diff(path: Path) -> None:
    """A planning scene with operations, frames, held objects and a matrix."""
    import yaml

    pose = {"position": {"x": 0.5, "y": 0.1, "z": 0.3}, "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}}
    shape = {"primitives": [{"type": 4, "dimensions": [0.1, 0.05]}], "primitive_poses": [pose]}
    objects = [
        {"id": "a", "header": {"frame_id": "panda_link0"}, **shape, "operation": 0},
        {"id": "a", "header": {"frame_id": "camera"}, **shape, "operation": 2},
        {"id": "a", "pose": pose, "operation": 3},
        {"id": "b", **shape, "subframe_names": ["rim"], "subframe_poses": [pose]},
        {"id": "c", "header": {"frame_id": "b/rim"}, **shape},
        {"id": "b", "operation": 1},
    ]
    # Held as a ball: other shapes are fitted, which takes longer than reading.
    ball = {"primitives": [{"type": 2, "dimensions": [0.05]}], "primitive_poses": [pose]}
    held = {"link_name": "panda_hand", "object": {"id": "mug", "header": {"frame_id": "panda_hand"}, **ball}}
    document = {
        "robot_model_name": "panda",
        "fixed_frame_transforms": [{"child_frame_id": "camera", "transform": {"translation": [0, 0, 1]}}],
        "world": {"collision_objects": objects},
        "robot_state": {"attached_collision_objects": [{**held, "touch_links": ["panda_leftfinger"]}]},
        "allowed_collision_matrix": {
            "entry_names": ["a", "panda_hand"],
            "entry_values": [{"enabled": [False, True]}, {"enabled": [True, False]}],
            "default_entry_names": ["c"],
            "default_entry_values": [True],
        },
        "link_padding": [{"link_name": "panda_hand", "padding": 0.0}],
    }
    path.write_text(yaml.safe_dump(document))


RVIZ = b"""name
* desk
0.6 0 0.2
0 0 0 1
2
box
0.8 1.2 0.04
0 0 0
0 0 0 1
0 0 0 0
cone
0.1 0.2
0 0 0.1
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


def _write_moveit_request(path: Path) -> None:
    from edmp.scenes.moveit_request import MoveItRequest
    from edmp.scenes.moveit_write import save_moveit_request

    joints = {f"panda_joint{i + 1}": 0.1 * i - (1.5 if i == 3 else 0.0) for i in range(7)}
    save_moveit_request(path, MoveItRequest(start=joints, goals=({**joints, "panda_joint1": 0.5},)))
    of = {"header": {"frame_id": "world"}, "link_name": "panda_hand"}
    box, middle = {"type": 1, "dimensions": [2.0, 2.0, 2.0]}, {"position": [0.0, 0.0, 0.5]}
    tolerances = {f"absolute_{axis}_axis_tolerance": width for axis, width in zip("xyz", (0.5, 0.4, 3.0), strict=True)}
    constraints = {
        "joint_constraints": [{"joint_name": "panda_joint1", "position": 0.1, "tolerance_above": 1.0}],
        "position_constraints": [{**of, "constraint_region": {"primitives": [box], "primitive_poses": [middle]}}],
        "orientation_constraints": [{**of, "orientation": {"x": 0, "y": 0, "z": 0, "w": 1}, **tolerances}],
    }
    path.write_text(path.read_text() + json.dumps({"path_constraints": constraints})[1:-1] + "\n")


def _read_moveit_request(path: Path) -> None:
    from edmp.problem import load_problem

    scene = path.with_name("scene.yaml")
    if not scene.exists():
        _write_moveit_scene(scene)
    load_problem(scene, path)


def _write_mesh(path: Path) -> None:
    import trimesh

    trimesh.creation.icosphere(subdivisions=1, radius=0.1).export(path)


def _read_mesh(path: Path) -> None:
    from edmp.geometry.mesh_files import load_mesh
    from edmp.scenes import load_scene

    scene = path.with_name("scene.yaml")
    scene.write_text(f"edmp_scene: 1\nobstacles:\n  thing: {{type: mesh, file: {path.name}, position: [1, 0, 0]}}\n")
    _each(lambda: load_mesh(path), lambda: load_scene(scene))


def _write_weights(path: Path) -> None:
    import dataclasses

    import torch

    from edmp.learning.card import Card, save_network
    from edmp.prior.mlp import MlpConfig, MlpNetwork

    torch.manual_seed(0)
    config = MlpConfig(width=16, depth=1, cond_width=8, num_control_points=6)
    card = Card(
        "mlp", dataclasses.asdict(config), "tiny", 3, (-2.0, -2.0, 0.0), (2.0, 2.0, 0.3), {"seed": 1}, 5, "edmp train"
    )
    save_network(path, MlpNetwork(config, 3), card)


def _write_policy(path: Path) -> None:
    import dataclasses

    from edmp.baselines.mpinets.network import MpinetsConfig, MpinetsNetwork
    from edmp.learning.card import Card, save_network

    config = MpinetsConfig(
        num_robot_points=32, num_obstacle_points=32, num_target_points=8, centers_1=8, centers_2=4, neighbors_1=4,
        neighbors_2=4, widths_1=(8, 8), widths_2=(8, 8), widths_global=(8, 8), fc_widths=(16, 16), fc_groups=4,
        encoder_widths=(8,), decoder_widths=(8,),
    )  # fmt: skip
    card = Card("mpinets", dataclasses.asdict(config), "tiny", 3, (-2.0, -2.0, 0.0), (2.0, 2.0, 0.3))
    save_network(path, MpinetsNetwork(config, card.lower, card.upper), card)


def _write_shard(path: Path) -> None:
    import torch

    from edmp.learning.tensors import write_tensors

    write_tensors(
        path, {"control_points": torch.rand(4, 6, 3), "scene": torch.arange(4, dtype=torch.int32)}, {"x": [1, 2]}
    )


def _write_results(path: Path) -> None:
    from report_cases import line, write

    lines = [
        line(planner, k, of=of, solved=k < 3) for planner in ("edmp", "chomp") for of in ("a", "b") for k in (1, 2, 3)
    ]
    lines[0] |= {"options": {"num_seeds": 8}, "timings": {"sample": 0.1}, "path": [[0.0] * 7] * 2, "times": [0.0, 1.0]}
    write(path, *lines, run=True)


def _write_executed(path: Path) -> None:
    executed = {
        "set": "a", "index": 1, "status": "SOLVED", "outcome": "REACHED", "fault": None, "message": "", "contacts": 0,
        "duration_s": 2.0, "tracking_rms_mrad": 1.0, "tracking_peak_mrad": 2.0, "peak_torque_share": 0.5,
        "planned_clearance_m": 0.01, "measured_clearance_m": None,
    }  # fmt: skip
    lines = [{"run": {"seed": 0}}, executed, {**executed, "set": "b", "outcome": "NO_PLAN"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _write_crossings(path: Path) -> None:
    event = {"time": 0.5, "latency": 0.1, "planning": 0.1, "why": "in the way", "accepted": True, "retreat": False}
    query = {"warm_s": 0.1, "warm_solved": True, "warm_rad": 2.0, "cold_s": 0.2, "cold_solved": False, "cold_rad": None}
    crossing = {
        "set": "crossing", "index": 0, "outcome": "REACHED", "fault": None, "message": "", "touched": None,
        "contacts": 0, "closest_m": 0.1, "duration_s": 2.0, "replans": [{**event, "warm": False}, event],
        "run_s": 3.0, "queries": [query],
    }  # fmt: skip
    stopped = {**crossing, "index": 1, "fault": "NO_WAY", "touched": "hand meets ball"}
    lines = [{"run": {"seed": 0, "replan": {"driver": "kinematic"}}}, crossing, stopped]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _write_manifest(path: Path) -> None:
    shards = {"shard-00000": {"trajectories": 4, "sha256": "ab"}}
    path.write_text(json.dumps({"version": 1, "reversible": True, "settings": {"robot": "panda"}, "shards": shards}))


def _write_best_known(path: Path) -> None:
    path.write_text(json.dumps({"what": "lengths [rad]", "sets": {"a": {"1": 2.0, "2": None}, "b": {}}}))


# --- readers ---------------------------------------------------------------------------------------------------------


def _each(*reads: Callable[[], object]) -> None:
    """All of them, whatever the others raise, as long as it is an error of edmp."""
    from edmp.errors import EdmpError

    refused = None
    for read in reads:
        try:
            read()
        except EdmpError as error:
            refused = error
    if refused is not None:
        raise refused


def _view_plan(path: Path) -> None:
    """What loads can be viewed, judged again, and run without an arm."""
    from edmp.planfile import load_plan
    from edmp.validate import Judge
    from edmp.viz.staging import Staging
    from edmp.viz.subject import subject_of
    from edmp.viz.web_scene import scene_document

    plan = load_plan(path)
    json.dumps(scene_document(Staging(subject_of(plan), "hulls")), allow_nan=False)
    if plan.result.best is not None:
        problem = plan.problem
        Judge(problem.robot, problem.scene, constraints=problem.constraints).check_path(plan.result.best.path)
        plan.result.best.trajectory.sample([0.0, 0.1, 1e9])


def _read_trace(path: Path) -> None:
    from edmp.trace import load_trace

    for batch in load_trace(path).round():
        batch.waypoints(8)


def _read_recording(path: Path) -> None:
    from edmp.execution import summarise
    from edmp.recordings.mcap_file import load_recording

    summarise(load_recording(path).recording)


def _write_log(path: Path) -> None:
    """Of the tiny robot's joints, as text, with what it was computed with."""
    import numpy as np

    from edmp.recordings import Log, write_log

    q = 0.1 * np.sin(np.arange(36.0)).reshape(12, 3)
    write_log(path, Log(("j1", "j2", "j3"), 0.02 * np.arange(12), q, q, q, q, q, spread={"torques": np.abs(q)}))


def _write_inverse(path: Path) -> None:
    from edmp.dynamics.learned.inverse import InverseConfig, InverseNetwork, inverse_card, save_inverse
    from edmp.robots import load_robot

    config = InverseConfig(7, chunk=2, width=8, depth=1, hidden=8)
    save_inverse(path, InverseNetwork(config), inverse_card(load_robot("panda"), config))


def _write_world(path: Path) -> None:
    import dataclasses

    from edmp.dynamics.learned.world import WorldConfig, WorldNetwork
    from edmp.learning.card import Card, save_network

    config = WorldConfig(width=8, depth=1, hidden=8, cond=8, context=8, context_width=8, context_depth=1)
    card = Card("world", dataclasses.asdict(config), "panda", 7, (-3.0,) * 7, (3.0,) * 7)
    save_network(path, WorldNetwork(config, 7), card)


def _write_lerobot(path: Path) -> None:
    """A file without a data set around it."""
    import shutil

    from log_cases import write_lerobot

    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(write_lerobot(Path(folder) / "set", version=3), path)


def _read_log(path: Path) -> None:
    """With and without a robot, and what is said of it."""
    import edmp
    from edmp.cli.logs import described
    from edmp.recordings import read_log

    log = read_log(path, columns={"commanded": "actions"} if path.suffix == ".hdf5" else None)
    json.dumps(described(log, None), allow_nan=False)
    with contextlib.suppress(edmp.EdmpError):
        json.dumps(described(read_log(path, robot="panda"), None), allow_nan=False)


def _write_cdr(path: Path) -> None:
    from log_cases import HOME, JOINTS, cdr

    path.write_bytes(cdr(1_700_000_000_000_000_007, JOINTS, HOME, [], HOME))


def _read_cdr(path: Path) -> None:
    """A message alone: in a bag its checksum tells most damage."""
    from edmp.recordings.ros_file import state_of

    state_of(path.read_bytes(), "cdr", str(path))


def _write_ros_json(path: Path) -> None:
    stamp = {"sec": 1_700_000_000, "nanosec": 7}
    state = {"header": {"stamp": stamp}, "name": ["j1", "j2"], "position": [0.1, 0.2], "velocity": [], "effort": [1, 2]}
    path.write_text(json.dumps(state))


def _read_ros_json(path: Path) -> None:
    from edmp.recordings.ros_file import state_of

    state_of(path.read_bytes(), "json", str(path))


def _write_lerobot_info(path: Path) -> None:
    names = {"motors": [f"panda_joint{k}" for k in range(1, 8)] + ["gripper"]}
    features = {key: {"dtype": "float32", "shape": [8], "names": names} for key in ("observation.state", "action")}
    path.write_text(json.dumps({"codebase_version": "v2.1", "fps": 50, "features": features}))


def _read_info(path: Path) -> None:
    """Of the data set around a good file."""
    from log_cases import write_lerobot

    from edmp.recordings import read_log

    folder = path.parent / "set"
    if not folder.is_dir():
        write_lerobot(folder)
    (folder / "meta" / "info.json").write_bytes(path.read_bytes())
    read_log(folder)


def _read_results(path: Path) -> None:
    import io

    from edmp.bench import read_records
    from edmp.bench.compare import CompareSettings, compare, describe
    from edmp.bench.report.build import build
    from edmp.bench.report.html import as_html
    from edmp.bench.report.markdown import as_markdown
    from edmp.bench.report.sources import load
    from edmp.bench.table import markdown, report
    from edmp.cli.arguments import report_console

    results = load([path])
    console = report_console()
    console.file = io.StringIO()
    console.print(report(results.records))
    markdown(results.records)
    _READ["reports"] += 1
    if _READ["reports"] % 10 == 1:  # drawing takes longer than all the rest
        made = build(results)
        as_markdown(made)
        if _READ["reports"] % 100 == 1:
            as_html(made)
    good = path.with_name("good.jsonl")
    if not good.exists():
        _write_results(good)
    for comparison in compare(read_records(good), results.records):
        describe(comparison, CompareSettings())


_READ = {"reports": 0}


def _read_executed(path: Path) -> None:
    from edmp.bench.executed import read_executed, summarise_executed
    from edmp.bench.records import read_runs

    _each(lambda: summarise_executed(read_executed(path)), lambda: read_runs(path))


def _read_crossings(path: Path) -> None:
    from edmp.bench.crossings import read_crossings, summarise_replans

    summarise_replans(read_crossings(path))


def _read_manifest(path: Path) -> None:
    """In the place where it is looked for."""
    from edmp.data.training_set import read_manifest

    there = path.with_name("manifest.json")
    there.write_bytes(path.read_bytes())
    read_manifest(there.parent)


def _read_best_known(path: Path) -> None:
    """Beside a problem."""
    from edmp.bench import find_problems
    from edmp.bench.problems import BEST_KNOWN_FILE

    (path.parent / "a").mkdir(exist_ok=True)
    (path.parent / "a" / "scene0001.yaml").touch()
    path.with_name(BEST_KNOWN_FILE).write_bytes(path.read_bytes())
    find_problems(path.parent)


def _read_problem_file(path: Path) -> None:
    from edmp.bench import find_problems

    for entry in find_problems(path)[:2]:
        entry.load("panda")


def _named(module: str, function: str, **options: Any) -> Callable[[Path], object]:
    import importlib

    return lambda path: getattr(importlib.import_module(module), function)(path, **options)


def _write_mpinets_pickle(path: Path) -> None:
    from dataset_cases import write_mpinets_pickle

    write_mpinets_pickle(path, ((0.5, 0.1, 0.4), (0, 1, 0, 0)))


def _write_robometrics(path: Path) -> None:
    from dataset_cases import ROBOMETRICS

    path.write_text(ROBOMETRICS)


FORMATS: dict[str, Format] = {
    "scene": Format(".yaml", _write_scene, _named("edmp.scenes", "load_scene"), as_yaml),
    "problem": Format(".yaml", _write_problem, _named("edmp.problem", "load_problem"), as_yaml),
    "moveit-scene": Format(".yaml", _write_moveit_scene, _named("edmp.problem", "load_setting"), as_yaml),
    "moveit-diff": Format(".yaml", _write_moveit_diff, _named("edmp.problem", "load_setting"), as_yaml),
    "rviz-scene": Format(".scene", lambda path: path.write_bytes(RVIZ), _named("edmp.scenes", "load_scene"), as_text),
    "moveit-request": Format(".yaml", _write_moveit_request, _read_moveit_request, as_yaml),
    "robometrics": Format(".yaml", _write_robometrics, _read_problem_file, as_yaml),
    "mpinets-hdf5": Format(".hdf5", _named("dataset_cases", "write_mpinets_hdf5"), _read_problem_file, as_hdf5),
    "mpinets-pickle": Format(".pkl", _write_mpinets_pickle, _read_problem_file, damaged),
    "robot": Format(
        ".yaml", lambda path: path.write_text(json.dumps(TINY, indent=1)), _named("edmp.robots", "load_robot"), as_yaml
    ),
    "urdf": Format(".urdf", lambda path: path.write_bytes(URDF), _named("edmp.robots.urdf", "urdf_document"), as_text),
    "plan": Format(".json", _write_plan, _view_plan, as_json),
    "task": Format(".json", _write_task, _view_task, as_json),
    "sensed-plan": Format(".json", _write_sensed_plan, _named("edmp.planfile", "load_plan"), as_json),
    "sensed-scene": Format(".yaml", _write_sensed_scene, _named("edmp.scenes", "load_scene"), as_yaml),
    "arrays": Format(".npz", _write_arrays, _read_arrays, as_npz),
    "ply": Format(".ply", _cloud("ascii.ply"), _named("edmp.scenes", "load_scene"), as_text),
    "ply-binary": Format(".ply", _cloud("big.ply"), _named("edmp.scenes", "load_scene"), damaged),
    "pcd": Format(".pcd", _cloud("ascii.pcd"), _named("edmp.scenes", "load_scene"), as_text),
    "pcd-binary": Format(".pcd", _cloud("binary.pcd"), _named("edmp.scenes", "load_scene"), damaged),
    "pcd-compressed": Format(".pcd", _cloud("compressed.pcd"), _named("edmp.scenes", "load_scene"), damaged),
    "xyz": Format(".xyz", _cloud("text.xyz"), _named("edmp.scenes", "load_scene"), as_text),
    "npy": Format(".npy", _cloud("plain.npy"), _named("edmp.scenes", "load_scene"), damaged),
    "npz": Format(".npz", _cloud("named.npz"), _named("edmp.scenes", "load_scene"), as_npz),
    "octree-bt": Format(".bt", _octree("tree.bt"), _named("edmp.scenes", "load_scene"), damaged),
    "octree-ot": Format(".ot", _octree("color.ot"), _named("edmp.scenes", "load_scene"), damaged),
    "octomap": Format(".yaml", _write_octomap, _named("edmp.problem", "load_setting"), as_yaml),
    "depth": Format(".png", _write_depth, _named("edmp.sensing", "load_depth"), damaged),
    "camera": Format(".yaml", _write_camera, _named("edmp.sensing", "load_camera"), as_yaml),
    "reward": Format(".yaml", _write_reward, _named("edmp.data.reward", "load_reward"), as_yaml),
    "failed-plan": Format(".json", _write_failed_plan, _view_plan, as_json),
    "blocked-plan": Format(".json", _write_blocked_plan, _view_plan, as_json),
    "line": Format(".yaml", _write_line, _named("edmp.problem", "load_problem"), as_yaml),
    "trace": Format(".npz", _write_trace, _read_trace, as_npz),
    "recording": Format(".mcap", _write_recording, _read_recording, as_mcap),
    "log-csv": Format(".csv", _write_log, _read_log, as_text),
    "log-npz": Format(".npz", _write_log, _read_log, as_npz),
    "log-cdr": Format(".mcap", _named("log_cases", "write_bag"), _read_log, damaged),
    "log-cdr-message": Format(".bin", _write_cdr, _read_cdr, damaged),
    "log-ros-json": Format(".json", _write_ros_json, _read_ros_json, as_json),
    "log-hdf5": Format(".hdf5", _named("log_cases", "write_robomimic"), _read_log, as_demos),
    "log-parquet": Format(".parquet", _write_lerobot, _read_log, damaged),
    "log-info": Format(".json", _write_lerobot_info, _read_info, as_json),
    "inverse": Format(
        ".safetensors", _write_inverse, _named("edmp.dynamics.learned.inverse", "load_inverse"), as_safetensors
    ),
    "world": Format(
        ".safetensors", _write_world, _named("edmp.dynamics.learned.world_model", "load_world"), as_safetensors
    ),
    "mesh-ply": Format(".ply", _write_mesh, _read_mesh, as_text),
    "mesh-stl": Format(".stl", _write_mesh, _read_mesh, damaged),
    "mesh-obj": Format(".obj", _write_mesh, _read_mesh, as_text),
    "weights": Format(".safetensors", _write_weights, _named("edmp.prior.checkpoint", "load_network"), as_safetensors),
    "policy": Format(
        ".safetensors", _write_policy, _named("edmp.baselines.mpinets.weights", "load_weights"), as_safetensors
    ),
    "shard": Format(".safetensors", _write_shard, _named("edmp.data.training_set", "read_shard"), as_safetensors),
    "results": Format(".jsonl", _write_results, _read_results, as_json_lines),
    "executed": Format(".jsonl", _write_executed, _read_executed, as_json_lines),
    "crossings": Format(".jsonl", _write_crossings, _read_crossings, as_json_lines),
    "manifest": Format(".json", _write_manifest, _read_manifest, as_json),
    "best-known": Format(".json", _write_best_known, _read_best_known, as_json),
}


TOGETHER = (
    ("blocked-plan", "sensed-plan", "trace"),
    ("problem", "line", "scene", "moveit-request", "moveit-scene", "moveit-diff", "rviz-scene", "robometrics",
     "mpinets-hdf5", "mpinets-pickle"),
    ("plan", "failed-plan", "task"),
    ("recording", "weights", "policy", "world", "inverse", "shard"),
    ("results", "executed", "crossings", "manifest", "best-known"),
    ("mesh-ply", "mesh-stl", "mesh-obj", "robot", "urdf"),
    ("log-csv", "log-npz", "log-cdr", "log-cdr-message", "log-ros-json", "log-hdf5", "log-parquet", "log-info"),
    ("octree-bt", "octree-ot", "octomap", "depth", "camera", "reward", "sensed-scene", "arrays"),
    ("ply", "ply-binary", "pcd", "pcd-binary", "pcd-compressed", "xyz", "npy", "npz"),
)  # fmt: skip
"""Formats that share a process, because starting one takes as long as some hundred mutants; the longest first."""


# --- the process -----------------------------------------------------------------------------------------------------


class TooSlow(BaseException):
    """A mutant that took longer than `PATIENCE`."""


def attack(name: str, count: int) -> dict[str, Any]:
    """Read the seed of a format and ``count`` mutants; what was neither read nor refused by an `EdmpError`.

    Raises:
        EdmpError: the seed itself is refused.
    """
    from edmp.errors import EdmpError

    kind, failures, refused, begin = FORMATS[name], [], 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"seed{kind.suffix}"
        kind.seed(path)
        kind.read(path)
        seed, path = path.read_bytes(), Path(folder) / f"mutant{kind.suffix}"
        for number in range(count):
            mutant = kind.mutate(seed, random.Random(f"{name} {number}"))
            path.write_bytes(mutant)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            try:
                kind.read(path)
            except EdmpError:
                refused += 1
            except (Exception, TooSlow) as error:
                where = [
                    f"{Path(f.filename).name}:{f.lineno}:{f.name}" for f in traceback.extract_tb(error.__traceback__)
                ]
                failures.append(
                    {"mutant": number, "error": f"{type(error).__name__}: {error}"[:200], "where": where[-4:]}
                )
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    return {"refused": refused, "failures": failures, "seconds": round(time.monotonic() - begin, 1)}


def main(names: list[str], count: int) -> None:
    """Print what became of ``count`` mutants of each format."""
    import torch

    def too_slow(*_: object) -> None:
        raise TooSlow

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, too_slow)
    (_, hard), taken = resource.getrlimit(resource.RLIMIT_AS), int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (taken * resource.getpagesize() + MEMORY, hard))
    print(json.dumps({name: attack(name, count) for name in names}))


if __name__ == "__main__":
    main(sys.argv[1].split(","), int(sys.argv[2]))
