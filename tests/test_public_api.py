"""Every public function, called with a string, None, NaN, an object and a ragged list in every argument.

A row of the table gives a call that works. Each of its arguments in turn is replaced by something that it cannot be:
the answer must be an `EdmpError` that names the argument, whatever else the call would have done. What is public and
has no row fails, so that new functions get one.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plan_cases import TETRAHEDRON, solved
from sensed_cases import CALIBRATION, OCTREES

import edmp
from edmp import costs, dynamics, execution, planner, prior, recordings, robots, scenes, sensing, tasks, viz
from edmp.collision import edges_free, free, paths_free, relaxed_world
from edmp.execution.kinematic import KinematicArm
from edmp.execution.recorder import Recorder
from edmp.recordings import Log
from edmp.timing import retime_waypoints
from edmp.trace import Trace
from edmp.validate import judge_task

MODULES = (
    "",
    ".costs",
    ".robots",
    ".scenes",
    ".prior",
    ".planner",
    ".validate",
    ".execution",
    ".recordings",
    ".viz",
    ".collision",
    ".tasks",
    ".sensing",
    ".dynamics",
)
WRONG: Mapping[str, Any] = {
    "text": "no such thing",
    "None": None,
    "nan": float("nan"),
    "huge": 10**400,
    "object": object(),
    "ragged": [[1.0], [1.0, 2.0]],
}

CONSTRAINTS = (
    "Constraint",
    "InRegion",
    "InSphere",
    "InBox",
    "JointRange",
    "KeepDistance",
    "LookAt",
    "OnLine",
    "OnPlane",
    "Oriented",
    "Upright",
)

HANDED_OUT = {
    *("edmp.costs.Margins", "edmp.costs.World", "edmp.prior.Context", "edmp.prior.ProcessPrior", "edmp.Prior"),
    *("edmp.robots.IkResult", "edmp.validate.Contact", "edmp.validate.LimitViolation", "edmp.validate.Verdict"),
    *("edmp.execution.ArmState", "edmp.execution.Command", "edmp.execution.Execution", "edmp.execution.Prepared"),
    *(
        "edmp.validate.TaskVerdict",
        "edmp.execution.GripperState",
        "edmp.execution.ObjectEnd",
        "edmp.execution.PreparedTask",
        "edmp.execution.TaskExecution",
        "edmp.execution.Recording",
        "edmp.execution.Adaptation",
        "edmp.execution.Summary",
        "edmp.execution.Violation",
        "edmp.dynamics.Prediction",
        "edmp.Motion",
        "edmp.recordings.Gap",
        "edmp.recordings.Handled",
        "edmp.recordings.JointInfo",
        "edmp.recordings.LogInfo",
        "edmp.recordings.Recording",
    ),
}
"""Records that edmp makes and hands out, some of them a thousand times a second: users read them."""

INNER = {
    "edmp.costs.Margins.of",
    "edmp.Ensemble.margins",
    "edmp.Ensemble.value_and_gradient",
    "edmp.costs.Objective.values",
    "edmp.costs.Objective.weighted",
    "edmp.costs.Objective.gradient",
    "edmp.costs.World.shrunk",
    *(
        f"edmp.costs.{name}.value_and_gradient"
        for name in ("Cost", "IntersectionVolume", "JointLimits", "SelfCollision")
    ),
    *(f"edmp.costs.{name}.value_and_gradient" for name in ("Smoothness", "SphereClearance", "SweptVolume")),
    *(f"edmp.Prior.{step}" for step in ("bind", "to", "denoise", "noise", "level", "check")),
    *("edmp.prior.ProcessPrior.bind", "edmp.prior.ProcessPrior.to", "edmp.prior.ProcessPrior.sample"),
    *(f"edmp.prior.Spline.{name}" for name in ("dim", "basis_at", "basis", "straight_line", "control_points")),
    *(f"edmp.prior.Spline.{name}" for name in ("deviation", "waypoints", "pull_back", "fit", "gram", "inverse_gram")),
    *(f"edmp.prior.Spline.{name}" for name in ("smoothness_metric", "smoothing", "smoothing_tensor")),
    *(f"edmp.execution.ArmDriver.{name}" for name in ("now", "connect", "wait", "command", "stop", "close")),
    *("edmp.execution.Gripper", "edmp.execution.Gripper.move", "edmp.execution.Gripper.grasp"),
    *("edmp.execution.Tube.check", "edmp.execution.Tube.used", "edmp.execution.Command.hold"),
    *(f"edmp.{name}.{step}" for name in CONSTRAINTS for step in ("bands", "in_scene")),
    "edmp.Robot.common_body",
    "edmp.Planner.prepare",
    "edmp.sensing.SensorFaults.applied",
}
"""Steps of inner loops, on tensors of one shape, and the methods that a driver's author writes."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A call that works, and what else its arguments may be.

    Attributes:
        call: the function.
        given: its arguments by name, those of ``*names`` as a list; what is not given has a default.
        fine: which of `WRONG` an argument may be, after all.
        known_as: what a message calls an argument, if not by its name.
        runs: whether the call is tried as it is, too.
    """

    call: Callable[..., Any]
    given: Mapping[str, Any]
    fine: Mapping[str, str] = dataclasses.field(default_factory=dict)
    known_as: Mapping[str, str] = dataclasses.field(default_factory=dict)
    runs: bool = True


def public() -> Iterator[tuple[str, Any]]:
    """Name and value of every public function, class and method of a class, once."""
    seen: set[int] = set()
    for module in MODULES:
        home = importlib.import_module(f"edmp{module}")
        for name in home.__all__:
            value = getattr(home, name)
            if id(value) in seen or not (inspect.isfunction(value) or inspect.isclass(value)):
                continue
            seen.add(id(value))
            if inspect.isclass(value) and issubclass(value, Exception | enum.Enum):
                continue
            yield f"edmp{module}.{name}", value
            for key, method in vars(value).items() if inspect.isclass(value) else ():
                method = getattr(method, "__func__", method)
                if not key.startswith("_") and inspect.isfunction(method):
                    yield f"edmp{module}.{name}.{key}", method


NAMES = [name for name, value in public() if list(inspect.signature(value).parameters) not in ([], ["self"])]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    folder = tmp_path_factory.mktemp("api")
    problem = edmp.load_example("bookshelf")
    robot, scene, start, goal = problem.robot, problem.scene, problem.start, problem.goal
    result = solved(problem)
    best = result.best
    assert best is not None
    result = edmp.PlanResult(result.status, result.message, best, result.alternatives, result.stats, problem)
    trajectory = best.trajectory
    (folder / "camera.yaml").write_text(CALIBRATION)
    (folder / "map.bt").write_bytes(OCTREES["tree.bt"])
    np.save(folder / "depth.npy", np.ones((6, 8)))
    camera = sensing.DepthCamera.looking((1.5, 0.0, 1.5), (0, 0, 0.3), width=64, height=48)
    box, pose = edmp.Box((0.1, 0.1, 0.1)), np.eye(4)
    edmp.save_plan(folder / "plan.json", problem, result)
    edmp.save_problem(folder / "problem.yaml", problem)
    cost = costs.SphereClearance()
    member = edmp.Member(cost)
    planned = edmp.Planner("panda", prior="process")
    judge = edmp.Judge(robot, scene)
    configuration = torch.as_tensor(np.array(start), dtype=torch.float32)
    world = costs.World.of(robot, scene)
    subject = viz.subject_of(result)
    arm = KinematicArm(robot, positions=np.array(start), real_time=False)
    plan_arguments = {"scene": scene, "start": start, "goal": goal}
    picture = folder / "picture.png"

    phase = edmp.Phase("reach", robot, scene, best.path[0], best, 0.04, best.duration)
    task = edmp.TaskPlan(result.status, "solved", robot, scene, best.path[0], (phase,), result.stats)
    edmp.save_task(folder / "task.json", task)
    picking = tasks.PickProblem(robot, scene, np.array(start), scene.names[0], (pose,))
    tasks.save_pick(folder / "pick.yaml", picking)

    log = recordings.Log(("a", "b"), np.arange(3.0), np.zeros((3, 2)))
    recordings.write_log(folder / "log.csv", log)
    recordings.write_log(folder / "log.mcap", log)
    recorded = recordings.load_recording(folder / "log.mcap")

    rows: dict[str, Row] = {
        "recordings.Log": Row(
            recordings.Log,
            {"joint_names": ("a",), "times": np.arange(2.0), "positions": np.zeros((2, 1)), "spread": {}},
            {"source": "text"} | dict.fromkeys(("velocities", "torques", "commanded", "commanded_velocities"), "None"),
        ),
        "recordings.Log.of": Row(
            recordings.Log.of,
            {"recording": recordings.load_recording(folder / "log.mcap").recording},
            {"source": "text"},
        ),
        "recordings.Log.piece": Row(log.piece, {"begin": 0, "end": 2}),
        "recordings.Log.with_joints": Row(log.with_joints, {"names": ["b"]}),
        "recordings.Log.for_robot": Row(log.for_robot, {"robot": robot}, runs=False),
        "recordings.RecordingFile": Row(recordings.RecordingFile, {"recording": recorded.recording}),
        "recordings.describe_log": Row(recordings.describe_log, {"log": log}),
        "recordings.load_recording": Row(recordings.load_recording, {"path": folder / "log.mcap"}),
        "recordings.save_recording": Row(
            recordings.save_recording,
            {"path": folder / "out.mcap", "file": recorded},
        ),
        "recordings.read_log": Row(recordings.read_log, {"path": folder / "log.csv"}, {"episode": "nan"}),
        "recordings.write_log": Row(recordings.write_log, {"path": folder / "out.csv", "log": log}),
        "Box": Row(edmp.Box, {"size": (1.0, 1.0, 1.0)}),
        "Capsule": Row(edmp.Capsule, {"radius": 1.0, "length": 1.0}),
        "Cylinder": Row(edmp.Cylinder, {"radius": 1.0, "length": 1.0}),
        "PointCloud": Row(edmp.PointCloud, {"points": np.eye(3), "radius": 0.01}),
        "Voxels": Row(edmp.Voxels, {"occupancy": np.ones((2, 3, 4), bool), "resolution": 0.05}),
        "DistanceField": Row(edmp.DistanceField, {"distances": -np.ones((2, 3, 4)), "resolution": 0.05}),
        "Sphere": Row(edmp.Sphere, {"radius": 1.0}),
        "Mesh": Row(edmp.Mesh, {"vertices": TETRAHEDRON.vertices, "faces": TETRAHEDRON.faces}),
        "Mesh.shell": Row(
            edmp.Mesh.shell, {"vertices": TETRAHEDRON.vertices, "faces": TETRAHEDRON.faces[1:], "thickness": 0.01}
        ),
        "Obstacle": Row(edmp.Obstacle, {"name": "a", "shape": box, "X_WO": pose}),
        "Obstacle.at": Row(edmp.Obstacle.at, {"name": "a", "shape": box}),
        "Scene": Row(edmp.Scene, {"obstacles": scene.obstacles}, known_as={"obstacles": "scene holds"}),
        "Scene.of": Row(
            edmp.Scene.of, {"obstacles": {"a": (box, (0, 0, 0))}}, known_as={"obstacles": "Scene.of takes"}
        ),
        "Scene.with_obstacle": Row(scene.with_obstacle, {"name": "new", "shape": box}),
        "Scene.without": Row(scene.without, {"names": [scene.names[0]]}, known_as={"names": "obstacle"}),
        "load_example": Row(edmp.load_example, {"name": "bookshelf"}),
        "load_plan": Row(edmp.load_plan, {"path": folder / "plan.json"}),
        "load_result": Row(edmp.load_result, {"path": folder / "plan.json"}),
        "load_problem": Row(edmp.load_problem, {"scene_path": folder / "problem.yaml", "robot": "panda"}),
        "load_robot": Row(edmp.load_robot, {"name_or_path": "panda", "gripper_width": 0.02}),
        "load_scene": Row(edmp.load_scene, {"path": folder / "problem.yaml"}),
        "save_plan": Row(edmp.save_plan, {"path": folder / "out.json", "problem": problem, "result": result}),
        "save_problem": Row(edmp.save_problem, {"path": folder / "out.yaml", "problem": problem}),
        "scenes.as_clouds": Row(scenes.as_clouds, {"scene": edmp.Scene((scene.obstacles[0],)), "spacing": 0.05}),
        "scenes.as_voxels": Row(scenes.as_voxels, {"scene": edmp.Scene((scene.obstacles[0],)), "resolution": 0.05}),
        "save_scene": Row(edmp.save_scene, {"path": folder / "out.yaml", "scene": scene}),
        "Upright": _settings(edmp.Upright(0.1)),
        "Oriented": _settings(edmp.Oriented(np.eye(3), (0.1, 0.1, np.inf))),
        "InBox": _settings(edmp.InBox((1.0, 1.0, np.inf), pose)),
        "InRegion": Row(edmp.InRegion, {"region": "tray", "box": None}, {"region": "text"}),
        "InSphere": _settings(edmp.InSphere(0.1, (0, 0, 0.5))),
        "Region": Row(edmp.Region, {"name": "tray", "size": (1.0, 1.0, 1.0), "X_WR": pose}),
        "Scene.with_region": Row(scene.with_region, {"name": "tray", "size": (1.0, 1.0, 1.0)}),
        "Scene.region": Row(scene.with_region("tray", (1, 1, 1)).region, {"name": "tray"}),
        "OnPlane": _settings(edmp.OnPlane((0, 0, 0.5))),
        "OnLine": _settings(edmp.OnLine((0, 0, 0.5), (1, 0, 0))),
        "LookAt": _settings(edmp.LookAt((0.5, 0, 0), 0.2)),
        "JointRange": Row(edmp.JointRange, {"joint": "panda_joint4", "lower": -2.0, "upper": 0.0}, {"joint": "text"}),
        "KeepDistance": Row(edmp.KeepDistance, {"obstacle": "shelf", "distance": 0.05}, {"obstacle": "text"}),
        "PoseGoal": Row(edmp.PoseGoal, {"position": (0, 0, 0), "quaternion": (0, 0, 0, 1)}),
        "Line": Row(edmp.Line, {"pose": edmp.PoseGoal((0, 0, 0), (0, 0, 0, 1))}, {"pose": "None", "offset": "None"}),
        "Line.by": Row(edmp.Line.by, {"offset": (0, 0, 0.1)}),
        "Line.path_from": Row(edmp.Line.by((0, 0, 0.1)).path_from, {"X_WT": pose}),
        "Via": Row(edmp.Via, {"poses": (edmp.PoseGoal((0, 0, 0), (0, 0, 0, 1)),)}),
        "Via.path_from": Row(edmp.Via((edmp.PoseGoal((0, 0, 1), (0, 0, 0, 1)),)).path_from, {"X_WT": pose}),
        "Blocked": _settings(edmp.Blocked(0.5, edmp.BlockedBy.LIMIT, "a joint comes to its limit")),
        "Problem": Row(edmp.Problem, {"robot": robot, "scene": scene, "start": start, "goal": goal}),
        "PlanFile": Row(edmp.PlanFile, {"problem": problem, "result": result}),
        "plan": Row(
            edmp.plan,
            {
                **plan_arguments,
                "robot": "panda",
            },
            runs=False,
        ),
        "Planner": Row(
            edmp.Planner,
            {"robot": "panda"},
            runs=False,
        ),
        "Planner.plan": Row(
            planned.plan,
            {
                **plan_arguments,
            },
            runs=False,
        ),
        "planner.record_plan": Row(
            planner.record_plan,
            {"planner": planned, **plan_arguments},
            {"name": "text"},
            runs=False,
        ),
        "PlanResult.save": Row(result.save, {"path": folder / "out.json"}),
        "Trajectory.at": Row(trajectory.at, {"times": 0.5}),
        "Trajectory.sample": Row(trajectory.sample, {"times": [0.0, 0.5]}),
        "Judge": Row(edmp.Judge, {"robot": robot, "scene": scene}),
        "Judge.check": Row(judge.check, {"q": start}),
        "Judge.clear": Row(judge.clear, {"q": best.path[:2]}),
        "Judge.check_path": Row(judge.check_path, {"path": best.path}),
        "Judge.check_trajectory": Row(judge.check_trajectory, {"trajectory": trajectory}),
        "Judge.clearance": Row(judge.clearance, {"path": best.path}),
        "Judge.near": Row(judge.near, {"q": best.path[0], "within": 0.02}),
        "Robot.with_base": Row(robot.with_base, {"X_W0": pose}),
        "Robot.with_tool": Row(robot.with_tool, {"name": robot.tool.name}),
        "Robot.with_gripper": Row(robot.with_gripper, {"width": 0.02}),
        "Robot.with_attachment": Row(
            robot.with_attachment,
            {"name": "held", "shape": box, "X_LA": pose, "link": "panda_hand"},
        ),
        "Robot.with_allowed_contacts": Row(
            robot.with_allowed_contacts, {"contacts": [("panda_hand", "table")]}, known_as={"contacts": "contact"}
        ),
        "Robot.without_attachment": Row(
            robot.with_attachment("held", box, pose, link="panda_hand").without_attachment, {"name": "held"}
        ),
        "Robot.link_index": Row(robot.link_index, {"name": "panda_hand"}),
        "execution.prepare": Row(
            execution.prepare,
            {"plan": result},
            runs=False,
        ),
        "execution.prepare_task": Row(execution.prepare_task, {"plan": task}, runs=False),
        "execution.PreparedTask.check": Row(execution.PreparedTask(task, (), None).check, {"arm": arm}, runs=False),
        "execution.PreparedTask.run": Row(execution.PreparedTask(task, (), None).run, {"arm": arm}, runs=False),
        "execution.execute": Row(
            execution.execute,
            {
                "plan": result,
                "driver": "drake-sim",
            },
            runs=False,
        ),
        "viz.subject_of": Row(
            viz.subject_of,
            {"source": result},
            known_as={"source": "cannot show"},
        ),
        "save_image": Row(
            edmp.save_image,
            {
                "source": subject,
                "path": picture,
            },
            runs=False,
        ),
        "viz.save_movie": Row(
            viz.save_movie,
            {
                "source": subject,
                "path": folder / "movie.gif",
            },
            runs=False,
        ),
        "viz.save_page": Row(viz.save_page, {"source": subject, "path": folder / "page.html"}, runs=False),
        "viz.save_plots": Row(viz.save_plots, {"source": subject, "path": folder / "plots.png"}, runs=False),
        "viz.show": Row(viz.show, {"source": subject}, runs=False),
        "viz.serve": Row(viz.serve, {"subject": subject}, runs=False),
        "Ensemble": Row(edmp.Ensemble, {"members": (member,), "name": "mine"}),
        "Ensemble.from_dict": Row(edmp.Ensemble.from_dict, {"data": edmp.Ensemble((member,)).to_dict()}),
        "Ensemble.of_members": Row(edmp.Ensemble((member,)).of_members, {"chosen": ["0"], "name": "first"}),
        "Ensemble.with_seeds": Row(edmp.Ensemble((member,)).with_seeds, {"num_seeds": 3}),
        "Member": Row(
            edmp.Member,
            {"cost": cost},
        ),
        "Member.from_dict": Row(edmp.Member.from_dict, {"data": member.to_dict()}),
        "GuidanceSettings": _settings(edmp.GuidanceSettings()),
        "PlannerSettings": _settings(edmp.PlannerSettings()),
        "planner.Round": _settings(planner.Round()),
        "Motion.of": Row(edmp.Motion.of, {"robot": robot, "q": configuration[None, None]}),
        "PlanResult": _settings(result),
        "Phase": _settings(phase),
        "Phase.width_at": Row(phase.width_at, {"time": 0.5}),
        "TaskPlan": _settings(task),
        "TaskPlan.at": Row(task.at, {"time": 0.5}, {"time": "huge"}),
        "TaskPlan.save": Row(task.save, {"path": folder / "out.json"}),
        "Grasps": Row(edmp.Grasps, {"X_OT": [pose], "opening": 0.05}),
        "Sequence": Row(edmp.Sequence, {"steps": [tasks.Attach("block")]}),
        "Sequence.plan": Row(edmp.Sequence([]).plan, {"scene": scene, "start": start}, {"robot": "text"}),
        "grasps_for": Row(edmp.grasps_for, {"shape": box, "gripper": robot.gripper}),
        "pick": Row(edmp.pick, {"scene": scene, "start": start, "object": scene.names[0]}, runs=False),
        "pick_and_place": Row(
            edmp.pick_and_place, {"scene": scene, "start": start, "object": scene.names[0], "at": pose}, runs=False
        ),
        "place": Row(
            edmp.place, {"scene": scene, "start": start, "object": "a", "at": pose, "robot": robot}, runs=False
        ),
        "tasks.Attach": _settings(tasks.Attach("block")),
        "tasks.Grip": _settings(tasks.Grip(0.05)),
        "tasks.Move": Row(  # what a goal may be depends on the robot
            tasks.Move, {"depart": (0.0, 0.0, 0.1), "name": "away"}, {"goal": "text None nan huge object ragged"}
        ),
        "tasks.PickProblem": _settings(picking),
        "tasks.PickProblem.plan": Row(picking.plan, {"seed": 0}, runs=False),
        "tasks.load_pick": Row(tasks.load_pick, {"path": folder / "pick.yaml"}, {"robot": "text"}),
        "tasks.save_pick": Row(tasks.save_pick, {"path": folder / "out.yaml", "problem": picking}),
        "Planner.for_robot": Row(planned.for_robot, {"robot": planned.robot}),
        "validate.judge_task": Row(judge_task, {"plan": task}),
        "load_task": Row(edmp.load_task, {"path": folder / "task.json"}),
        "save_task": Row(edmp.save_task, {"path": folder / "out.json", "plan": task}),
        "Solution": _settings(best),
        "Stats": _settings(result.stats),
        "Trajectory": _settings(trajectory),
        "Robot": _settings(robot),
        "Robot.beyond_limits": Row(robot.beyond_limits, {"path": best.path}),
        "Robot.clipped": Row(robot.clipped, {"q": start}),
        "robots.Finger": _settings(robot.gripper.fingers[0]),
        "robots.FitSettings": _settings(robots.FitSettings()),
        "robots.Gripper": _settings(robot.gripper),
        "robots.Joint": _settings(robot.joints[0]),
        "robots.Limits": _settings(robot.limits),
        "robots.Link": _settings(robot.links[1]),
        "robots.Limits.scaled": Row(robot.limits.scaled, {"velocity": 0.5, "acceleration": 0.5}),
        "robots.LinkBox": _settings(robot.links[1].box),
        "robots.ToolFrame": _settings(robot.tool),
        "robots.body_poses": Row(robots.body_poses, {"robot": robot, "q": configuration[None]}),
        "robots.jacobian": Row(robots.jacobian, {"robot": robot, "q": configuration[None]}),
        "robots.tool_pose": Row(robots.tool_pose, {"robot": robot, "q": configuration[None]}),
        "robots.save_robot": Row(robots.save_robot, {"robot": robot, "path": folder / "robot.yaml"}),
        "robots.solve_ik": Row(
            robots.solve_ik,
            {
                "robot": robot,
                "X_WT": robots.tool_pose(robot, torch.as_tensor(np.array(start))).numpy(),
                "num_seeds": 4,
            },
        ),
        "load_urdf": Row(edmp.load_urdf, {"path": folder / "arm.urdf"}, {"tool": "text"}, runs=False),
        "robots.fit_description": Row(
            robots.fit_description,
            {"source": folder / "arm.urdf"},
            {"tool": "text", "output": "text"},
            runs=False,
        ),
        "collision.edges_free": Row(edges_free, {"world": world, "q": configuration.expand(1, 2, 7)}),
        "collision.paths_free": Row(paths_free, {"world": world, "q": configuration.expand(1, 2, 7)}),
        "collision.free": Row(free, {"world": world, "q": best.path}),
        "collision.relaxed_world": Row(
            relaxed_world,
            {"robot": robot, "scene": scene, "configurations": best.path, "margins": {scene.names[0]: 0.02}},
            {"margins": "None"},
        ),
        "costs.World.of": Row(
            costs.World.of,
            {"robot": robot, "scene": scene, "margins": {scene.names[0]: 0.02}},
            {"margins": "None"},
        ),
        "costs.Constant": _settings(costs.Constant()),
        "costs.Linear": _settings(costs.Linear()),
        "costs.Ramp": _settings(costs.Ramp()),
        "costs.Varying": _settings(costs.Varying()),
        "costs.JointLimits": _settings(costs.JointLimits()),
        "costs.SelfCollision": _settings(costs.SelfCollision()),
        "costs.Smoothness": _settings(costs.Smoothness()),
        "costs.SphereClearance": _settings(cost),
        "costs.GoalPose": _settings(costs.GoalPose((0, 0, 0), (0, 0, 0, 1))),
        "costs.Term": _settings(costs.Term(cost)),
        "costs.Objective": _settings(costs.Objective()),
        "costs.Objective.of": Row(costs.Objective.of, {"costs": [cost]}),
        "costs.cost_by_name": Row(costs.cost_by_name, {"name": cost.name}),
        "costs.ensemble_by_name": Row(costs.ensemble_by_name, {"name": "default"}),
        "costs.make_cost": Row(costs.make_cost, {"name": cost.name}),
        "costs.register_cost": Row(costs.register_cost, {"cost": costs.SphereClearance}),
        "execution.ExecutionSettings": _settings(execution.ExecutionSettings()),
        "execution.MonitorSettings": _settings(execution.MonitorSettings()),
        "execution.TubeSettings": _settings(execution.TubeSettings()),
        "execution.Tube": Row(execution.Tube, {"robot": robot, "scene": scene, "trajectory": trajectory}, runs=False),
        "execution.refuse": Row(execution.refuse, {"trajectory": trajectory, "robot": robot}),
        "execution.run": Row(
            execution.run,
            {"trajectory": trajectory, "driver": arm},
            runs=False,
        ),
        "execution.Prepared.run": Row(execution.prepare(result, tube=None).run, {"arm": arm}, runs=False),
        "execution.summarise": Row(execution.summarise, {"recording": Recorder(robot).recording()}, runs=False),
        "prior.ProcessPrior.for_ranges": Row(
            prior.ProcessPrior.for_ranges,
            {"joint_range": np.ones(7)},
        ),
        "prior.ProcessPrior.for_robot": Row(prior.ProcessPrior.for_robot, {"robot": robot}),
        "prior.ProcessSettings": _settings(prior.ProcessSettings()),
        "prior.Spline": _settings(prior.Spline()),
        "scenes.Unseen": _settings(scenes.Unseen("free", 0.5)),
        "sensing.DepthCamera": _settings(camera),
        "sensing.DepthCamera.looking": Row(sensing.DepthCamera.looking, {"eye": (1, 0, 1), "target": (0, 0, 0)}),
        "sensing.DepthCamera.at": Row(camera.at, {"X_WC": pose}),
        "sensing.DepthCamera.points": Row(camera.points, {"depth": np.ones((48, 64))}),
        "sensing.DepthCamera.image": Row(camera.image, {"depth": np.ones((48, 64))}),
        "sensing.Map": Row(sensing.Map, {"bounds": ((0, 0, 0), (1, 1, 1)), "resolution": 0.1}),
        "sensing.Map.integrate": Row(
            sensing.Map(((0, 0, 0), (1, 1, 1)), 0.1).integrate,
            {"depth": np.ones((48, 64)), "camera": camera, "q": robot.home, "robot": robot},
        ),
        "sensing.Map.release": Row(sensing.Map(((0, 0, 0), (1, 1, 1)), 0.1).release, {"shape": box}),
        "sensing.Map.scene": Row(sensing.Map(((0, 0, 0), (1, 1, 1)), 0.1).scene, {"unseen": "free"}),
        "sensing.MapSettings": _settings(sensing.MapSettings()),
        "sensing.load_camera": Row(sensing.load_camera, {"path": folder / "camera.yaml"}),
        "sensing.load_depth": Row(sensing.load_depth, {"path": folder / "depth.npy"}),
        "sensing.point_cloud": Row(
            sensing.point_cloud, {"source": np.eye(3), "radius": 0.01}, known_as={"source": "points"}
        ),
        "sensing.voxels": Row(sensing.voxels, {"source": folder / "map.bt"}, known_as={"source": "cells"}),
        "sensing.SensorFaults": _settings(sensing.SensorFaults()),
        "sensing.SimulatedCameras": Row(sensing.SimulatedCameras, {"cameras": [camera], "scene": scene}, runs=False),
        "sensing.SimulatedCameras.look": Row(
            sensing.SimulatedCameras([camera], scene, robot=robot).look, {"q": robot.home}, runs=False
        ),
        "viz.Subject": _settings(subject),
        "viz.Subject.choosing": Row(subject.choosing, {"index": 0}, known_as={"index": "motion"}),
        "viz.save_denoising": Row(
            viz.save_denoising,
            {
                "trace": Trace(edmp.PlanFile(problem, result), ()),
                "path": folder / "movie.gif",
            },
            runs=False,
        ),
    }
    rows |= _dynamics(problem.robot)
    return {f"edmp.{name}": row for name, row in rows.items()}


def _dynamics(robot: edmp.Robot) -> dict[str, Row]:
    arm = dynamics.ArmDynamics.of(robot)
    q = np.zeros((2, robot.dof))
    masses = {"mass": arm.mass, "com_B": arm.com_B, "I_C_B": arm.I_C_B}
    joints = {"armature": arm.armature, "viscous": arm.viscous, "coulomb": arm.coulomb}
    return {
        "dynamics.ArmDynamics": Row(dynamics.ArmDynamics, {"robot": robot, **masses, **joints}),
        "dynamics.ArmDynamics.of": Row(dynamics.ArmDynamics.of, {"robot": robot}),
        "dynamics.ArmDynamics.with_parameters": Row(
            arm.with_parameters,
            {"inertial": arm.inertial_parameters(), **joints},
            fine={"inertial": "None", **dict.fromkeys(joints, "None")},
        ),
        "dynamics.ArmDynamics.with_payload": Row(arm.with_payload, {"mass": 1.0}),
        "dynamics.forward_dynamics": Row(dynamics.forward_dynamics, {"arms": arm, "q": q, "v": q, "tau": q}),
        "dynamics.inverse_dynamics": Row(dynamics.inverse_dynamics, {"arms": arm, "q": q, "v": q, "a": q}),
        "dynamics.Controller": _settings(dynamics.Controller()),
        "dynamics.track": Row(
            dynamics.track,
            {"arms": arm, "nominal": arm, "reference": (q[None],) * 3, "controller": dynamics.Controller(), "dt": 1e-3},
        ),
        **_arm_models(arm),
        "dynamics.LabelSettings": Row(dynamics.LabelSettings, {"arms": 2, "states": 2, "seed": 0}),
        "dynamics.label_log": Row(
            dynamics.label_log,
            {"log": recordings.Log(robot.joint_names, 0.1 * np.arange(6.0), np.zeros((6, robot.dof))), "robot": robot},
        ),
        "dynamics.rollout": Row(
            dynamics.rollout, {"arms": arm, "q0": q, "v0": q, "torques": np.zeros((2, 3, robot.dof)), "dt": 1e-3}
        ),
    }


def _arm_models(arm: dynamics.ArmDynamics) -> dict[str, Row]:
    robot, still = arm.robot, np.zeros((2, arm.dof))
    nothing = np.zeros(arm.dof)
    there = robot.home + 0.3
    trajectory = retime_waypoints([robot.home, there], robot.limits, joint_names=robot.joint_names)
    covariance = 1e-9 * np.eye(13 * arm.dof)
    model = dynamics.ArmModel(
        arm, arm, covariance, dynamics.Controller(), 0.0, nothing, nothing, (1.0, 0.1), (0.0, 0.1)
    )
    predicted = model.predict(trajectory, num_samples=2)
    log = Log(robot.joint_names, np.array([0.0, 1.0]), still)
    return {
        "dynamics.ArmModel": _settings(model),
        "dynamics.ArmModel.draws": Row(model.draws, {"count": 2}),
        "dynamics.ArmModel.for_robot": Row(model.for_robot, {"robot": robot}),
        "dynamics.ArmModel.load": Row(
            dynamics.ArmModel.load, {"path": "arm.safetensors"}, {"path": "text"}, runs=False
        ),
        "dynamics.ArmModel.save": Row(model.save, {"path": "arm.safetensors"}, {"path": "text"}),
        "dynamics.ArmModel.predict": Row(model.predict, {"trajectory": trajectory, "num_samples": 2}),
        "dynamics.IdentifySettings": _settings(dynamics.IdentifySettings()),
        "dynamics.identify": Row(dynamics.identify, {"recording": log, "robot": robot}, runs=False),
        **{
            f"dynamics.Prediction.{name}": Row(getattr(predicted, name), {"share": 0.9})
            for name in ("error_quantile", "torque_quantile", "peak_errors", "peak_torques")
        },
        "execution.AdaptSettings": _settings(execution.AdaptSettings()),
        "execution.AdaptSettings.within": Row(execution.AdaptSettings().within, {"takes_accelerations": True}),
    }


@pytest.mark.parametrize("name", sorted({*NAMES} - HANDED_OUT - INNER))
def test_wrong_arguments_are_told_by_name(
    name: str, table: dict[str, Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a string may be the name of a file to write
    assert name in table, f"{name} is public: give it a row, so that its arguments are tried"
    row = table[name]
    parameters = inspect.signature(row.call).parameters
    if row.runs:
        _call(row, {})
    faults = [fault for parameter in parameters.values() for fault in _faults(row, parameter)]
    assert not faults, "\n".join(faults)


def _settings(example: Any) -> Row:
    """A row for the class of a record, from one that is valid."""
    return Row(type(example), {field.name: getattr(example, field.name) for field in dataclasses.fields(example)})


def _call(row: Row, changed: Mapping[str, Any]) -> None:
    given = {**row.given, **changed}
    several = [
        one
        for name, parameter in inspect.signature(row.call).parameters.items()
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL
        for one in given.pop(name)
    ]
    row.call(*several, **given)


def _faults(row: Row, parameter: inspect.Parameter) -> Iterator[str]:
    for kind, value in WRONG.items():
        several = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        call = f"{parameter.name}={str(value)[:80]}"
        annotation = str(parameter.annotation)
        fine = row.fine.get(parameter.name, "").split()
        if kind in fine or (kind == "None" and "None" in annotation):
            continue
        try:
            _call(row, {parameter.name: [value] if several else value})
        except edmp.EdmpError as error:
            words = [parameter.name, parameter.name.replace("_", " "), row.known_as.get(parameter.name, parameter.name)]
            if not any(word.lower() in str(error).lower() for word in [*words, *([value] if kind == "text" else [])]):
                yield f"{call}: the message does not name the argument: {error}"
        except Exception as error:
            yield f"{call}: {type(error).__name__}: {error}"
        else:
            if not (kind == "text" and "str" in annotation):
                yield f"{call}: taken"


@pytest.mark.parametrize("size", ["num_seeds", "polish_candidates", "num_waypoints", "path_waypoints"])
def test_sizes_that_no_machine_holds_are_refused(size: str) -> None:
    with pytest.raises(edmp.InvalidInputError, match=size):
        edmp.PlannerSettings(**{size: 10**9})


@pytest.mark.parametrize("count", ["num_seeds", "num_near", "max_iterations"])
def test_more_seeds_than_inverse_kinematics_takes(count: str) -> None:
    with pytest.raises(edmp.InvalidInputError, match=count):
        robots.solve_ik(edmp.load_robot("panda"), np.eye(4), **{count: 10**9})


def test_text_is_no_number_even_where_it_looks_like_one() -> None:
    for wrong in ("123", ("1", "1", "1"), (1, 1), True):
        with pytest.raises(edmp.InvalidInputError, match="Box size must be three numbers"):
            edmp.Box(wrong)  # type: ignore[arg-type]
    with pytest.raises(edmp.InvalidInputError, match="Sphere radius must be a number"):
        edmp.Sphere("1.0")  # type: ignore[arg-type]
