"""edmp: motion planning for robot arms.

    import edmp

    problem = edmp.load_problem("scene0001.yaml", "request0001.yaml")
    result = edmp.plan(problem.scene, problem.start, problem.goal)

Names are loaded when they are first used, so that importing the package is quick and pulls in nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edmp.lazy_names import lazily

__version__ = "0.1.0"

_HOMES = {
    "edmp.constraints": (
        "Constraint",
        "InBox",
        "InRegion",
        "InSphere",
        "JointRange",
        "KeepDistance",
        "LookAt",
        "OnLine",
        "OnPlane",
        "Oriented",
        "Upright",
    ),
    "edmp.costs": ("Ensemble", "Member"),
    "edmp.guidance": ("GuidanceSettings",),
    "edmp.planner": ("Planner", "PlannerSettings", "plan"),
    "edmp.planfile": ("PlanFile", "load_plan", "load_result", "save_plan"),
    "edmp.prior": ("Prior",),
    "edmp.goals": ("Line", "PoseGoal", "Via"),
    "edmp.problem": ("Problem", "load_example", "load_problem", "save_problem"),
    "edmp.result": ("Blocked", "BlockedBy", "PlanResult", "Solution", "Stage", "Stats", "Status"),
    "edmp.robots": ("Motion", "Robot", "load_robot", "load_urdf"),
    "edmp.errors": (
        "EdmpError",
        "EdmpWarning",
        "FileFormatError",
        "InvalidInputError",
        "MissingDependencyError",
        "UnknownNameError",
    ),
    "edmp.scenes": (
        "Box",
        "Capsule",
        "Cylinder",
        "DistanceField",
        "Mesh",
        "Obstacle",
        "PointCloud",
        "Region",
        "Scene",
        "Sphere",
        "Voxels",
        "load_scene",
        "save_scene",
    ),
    "edmp.taskfile": ("load_task", "save_task"),
    "edmp.taskplan": ("Phase", "TaskPlan"),
    "edmp.tasks": ("Grasps", "Sequence", "grasps_for", "pick", "pick_and_place", "place"),
    "edmp.trajectory": ("Trajectory",),
    "edmp.validate": ("Judge",),
    "edmp.viz": ("save_image",),
}

if TYPE_CHECKING:
    from edmp.constraints import (
        Constraint,
        InBox,
        InRegion,
        InSphere,
        JointRange,
        KeepDistance,
        LookAt,
        OnLine,
        OnPlane,
        Oriented,
        Upright,
    )
    from edmp.costs import Ensemble, Member
    from edmp.errors import (
        EdmpError,
        EdmpWarning,
        FileFormatError,
        InvalidInputError,
        MissingDependencyError,
        UnknownNameError,
    )
    from edmp.goals import Line, PoseGoal, Via
    from edmp.guidance import GuidanceSettings
    from edmp.planfile import PlanFile, load_plan, load_result, save_plan
    from edmp.planner import Planner, PlannerSettings, plan
    from edmp.prior import Prior
    from edmp.problem import Problem, load_example, load_problem, save_problem
    from edmp.result import Blocked, BlockedBy, PlanResult, Solution, Stage, Stats, Status
    from edmp.robots import Motion, Robot, load_robot, load_urdf
    from edmp.scenes import (
        Box,
        Capsule,
        Cylinder,
        DistanceField,
        Mesh,
        Obstacle,
        PointCloud,
        Region,
        Scene,
        Sphere,
        Voxels,
        load_scene,
        save_scene,
    )
    from edmp.taskfile import load_task, save_task
    from edmp.taskplan import Phase, TaskPlan
    from edmp.tasks import Grasps, Sequence, grasps_for
    from edmp.tasks.picking import pick, pick_and_place, place
    from edmp.trajectory import Trajectory
    from edmp.validate import Judge
    from edmp.viz import save_image

__all__ = [
    "Blocked",
    "BlockedBy",
    "Box",
    "Capsule",
    "Constraint",
    "Cylinder",
    "DistanceField",
    "EdmpError",
    "EdmpWarning",
    "Ensemble",
    "FileFormatError",
    "Grasps",
    "GuidanceSettings",
    "InBox",
    "InRegion",
    "InSphere",
    "InvalidInputError",
    "JointRange",
    "Judge",
    "KeepDistance",
    "Line",
    "LookAt",
    "Member",
    "Mesh",
    "MissingDependencyError",
    "Motion",
    "Obstacle",
    "OnLine",
    "OnPlane",
    "Oriented",
    "Phase",
    "PlanFile",
    "PlanResult",
    "Planner",
    "PlannerSettings",
    "PointCloud",
    "PoseGoal",
    "Prior",
    "Problem",
    "Region",
    "Robot",
    "Scene",
    "Sequence",
    "Solution",
    "Sphere",
    "Stage",
    "Stats",
    "Status",
    "TaskPlan",
    "Trajectory",
    "UnknownNameError",
    "Upright",
    "Via",
    "Voxels",
    "grasps_for",
    "load_example",
    "load_plan",
    "load_problem",
    "load_result",
    "load_robot",
    "load_scene",
    "load_task",
    "load_urdf",
    "pick",
    "pick_and_place",
    "place",
    "plan",
    "save_image",
    "save_plan",
    "save_problem",
    "save_scene",
    "save_task",
]

__getattr__, __dir__ = lazily(__name__, _HOMES, __all__)
