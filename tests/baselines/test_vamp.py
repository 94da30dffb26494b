"""The adapter to VAMP.

VAMP has no wheels, so most tests run on `FakeVamp`: a stand-in that has the names and signatures of vamp-planner 0.6.4
as far as the adapter uses them, writes down what it is given, and knows nothing of planning. Where VAMP itself is
installed, the tests at the end ask it: about the frames of its robots, and for a path.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from waypoint_cases import GOAL, START, TABLE, over_the_box, task

from edmp.baselines import Task
from edmp.baselines.vamp import BASES, Vamp, VampSettings
from edmp.errors import InvalidInputError, MissingDependencyError, UnknownNameError
from edmp.geometry.kinds import KINDS, Kind
from edmp.geometry.poses import pose_rpy, rotation_from_rpy
from edmp.geometry.primitives import hull_faces
from edmp.geometry.shapes import Shape
from edmp.problem import MOVEIT_BASES
from edmp.result import Status
from edmp.robots import load_robot
from edmp.robots.kinematics import body_poses
from edmp.scenes import Box, Capsule, Cylinder, DistanceField, Mesh, Obstacle, PointCloud, Scene, Sphere, Voxels
from edmp.validate import Judge


class FakeEnvironment:
    def __init__(self) -> None:
        self.added: list[tuple[str, tuple]] = []

    def add_sphere(self, sphere: tuple) -> None:
        self.added.append(("sphere", sphere))

    def add_cuboid(self, cuboid: tuple) -> None:
        self.added.append(("cuboid", cuboid))

    def add_capsule(self, cylinder: tuple) -> None:
        self.added.append(("capsule", cylinder))

    def add_pointcloud(self, points: list, r_min: float, r_max: float, r_point: float) -> float:
        self.added.append(("cloud", (np.array(points), r_min, r_max, r_point)))
        return 0.0


class FakeRobot:
    """A robot module: ``free`` decides what `validate` says, ``fails`` how many searches find nothing."""

    def __init__(self, name: str) -> None:
        self.name, self.fails, self.skipped, self.planned = name, 0, None, []
        self.free = lambda q, environment: True

    def min_max_radii(self) -> tuple[float, float]:
        return 0.012, 0.06

    def joint_names(self) -> list[str]:
        return list(load_robot(self.name).joint_names)

    def validate(self, configuration: list[float], environment: FakeEnvironment) -> bool:
        return self.free(configuration, environment)

    def halton(self) -> SimpleNamespace:
        return SimpleNamespace(skip=lambda n: setattr(self, "skipped", n))

    def rrtc(self, start, goals, environment, settings, rng) -> SimpleNamespace:
        self.planned.append((start, goals, environment, settings))
        solved = len(self.planned) > self.fails
        path = [np.asarray(q, np.float32) for q in (start, start, goals[-1])]
        return SimpleNamespace(solved=solved, path=path if solved else [])

    def simplify(self, path, environment, settings, rng) -> SimpleNamespace:
        assert settings == "own settings of simplification"
        return SimpleNamespace(path=[path[0], path[-1]])


class FakeVamp(SimpleNamespace):
    def __init__(self) -> None:
        super().__init__(robots=["ur5", "panda", "sphere"], panda=FakeRobot("panda"), ur5=FakeRobot("ur5"))
        self.Environment = FakeEnvironment

    def Sphere(self, center, radius):
        return tuple(center), radius

    def Cuboid(self, center, euler_xyz, half_extents):
        return tuple(center), tuple(euler_xyz), tuple(half_extents)

    def Cylinder(self, center, euler_xyz, radius, length):
        return tuple(center), tuple(euler_xyz), radius, length

    def configure_robot_and_planner_with_kwargs(self, robot_name, planner_name):
        robot = getattr(self, robot_name)
        return robot, getattr(robot, planner_name), SimpleNamespace(range=1.0), "own settings of simplification"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeVamp:
    module = FakeVamp()
    monkeypatch.setitem(sys.modules, "vamp", module)
    return module


def world_of(center: tuple, euler_xyz: tuple, base: np.ndarray, base_V: np.ndarray) -> np.ndarray:
    """(4, 4) the pose in the problem's world of what was put into VAMP's."""
    X_VO = np.eye(4)
    X_VO[:3, :3], X_VO[:3, 3] = rotation_from_rpy(euler_xyz), center
    return base @ np.linalg.inv(base_V) @ X_VO


@pytest.mark.parametrize("name", BASES)
def test_obstacles_stand_to_the_arm_as_in_the_problem(fake: FakeVamp, name: str) -> None:
    base = pose_rpy((0.3, -0.2, 0.5), (0.1, -0.4, 2.0))
    robot = load_robot(name).with_base(base)
    X_WO = pose_rpy((0.6, 0.1, 0.4), (0.3, np.pi / 2, 0.0))
    shapes = {"box": Box((0.1, 0.2, 0.3)), "can": Cylinder(0.03, 0.2), "pipe": Capsule(0.05, 0.4), "ball": Sphere(0.1)}
    scene = Scene(tuple(Obstacle(key, shape, X_WO) for key, shape in shapes.items()))
    added = Vamp(VampSettings()).environment(robot, scene, margin=0.01).added
    assert [kind for kind, _ in added] == ["cuboid", "cuboid", "capsule", "sphere"]
    for _, (center, *rest) in added:
        euler_xyz = rest[0] if len(rest) > 1 else None
        X = world_of(center, euler_xyz or (0, 0, 0), base, BASES[name])
        np.testing.assert_allclose(X[:3, 3], X_WO[:3, 3], atol=1e-12)
        if euler_xyz:
            np.testing.assert_allclose(X[:3, :3], X_WO[:3, :3], atol=1e-9)
    assert added[0][1][2] == pytest.approx((0.06, 0.11, 0.16))
    assert added[1][1][2] == pytest.approx((0.04, 0.04, 0.11))  # the box around the cylinder
    assert added[2][1][2:] == pytest.approx((0.06, 0.4))
    assert added[3][1][1] == pytest.approx(0.11)
    capsules = Vamp(VampSettings(cylinders="capsule")).environment(robot, scene).added
    assert capsules[1][0] == "capsule"
    assert capsules[1][1][2:] == pytest.approx((0.03, 0.2))


def test_paths_end_exactly_at_start_and_goal(fake: FakeVamp) -> None:
    fake.panda.fails = 2
    claim = Vamp(VampSettings(max_iterations=7)).search(task(over_the_box(), seed=12))
    assert claim.status is Status.SOLVED
    assert np.array_equal(claim.path, [START, GOAL])  # to the last digit, though VAMP rounds to single precision
    assert fake.panda.skipped == 12
    assert len(fake.panda.planned) == 3
    settings = fake.panda.planned[0][3]
    assert (settings.max_iterations, settings.max_samples, settings.range) == (7, 7, 1.0)


def test_out_of_time(fake: FakeVamp) -> None:
    fake.panda.fails = 10**9
    claim = Vamp(VampSettings(time_budget=0.01)).search(task(over_the_box()))
    assert claim.status is Status.TIMEOUT
    assert claim.path is None


def test_margin_shrinks_until_start_and_a_goal_are_free(fake: FakeVamp) -> None:
    problem = over_the_box()
    goals = np.array([GOAL, START + 0.1])
    several = Task(problem.robot, problem.scene, START, goals, seed=0)

    def free(q: list[float], environment: FakeEnvironment) -> bool:
        half_height = environment.added[0][1][2][2]
        return q != GOAL.tolist() and half_height < TABLE[0].size[2] / 2 + 0.008

    fake.panda.free = free
    claim = Vamp(VampSettings(margin=0.01)).search(several)
    assert np.array_equal(claim.path[-1], goals[1])
    _, planned_goals, environment, _ = fake.panda.planned[0]
    assert planned_goals == [goals[1].tolist()]
    assert environment.added[0][1][2][2] == pytest.approx(TABLE[0].size[2] / 2 + 0.005)


@pytest.mark.parametrize(("blocked", "says"), [(START, "the start"), (GOAL, "every goal")])
def test_ends_in_collision_by_its_own_model_are_no_fault_of_the_problem(fake, blocked, says) -> None:
    fake.panda.free = lambda q, environment: q != blocked.tolist()
    claim = Vamp().search(task(over_the_box()))
    assert claim.status is Status.NO_PATH_FOUND
    assert f"VAMP's own model of the robot finds {says} in collision" in claim.message


def test_of_a_convex_kind_that_it_does_not_know_it_gets_the_box(
    fake: FakeVamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wedge(Shape):
        """Half a box of 0.2 x 0.2 x 0.4 m, from the origin up."""

    corners = np.array([[0, 0, 0], [0.2, 0, 0], [0, 0.2, 0], [0, 0, 0.4], [0.2, 0, 0.4], [0, 0.2, 0.4]])
    monkeypatch.setitem(KINDS, Wedge, Kind("wedge", Wedge, (), lambda _: (corners, hull_faces(corners)), convex=True))
    turned = pose_rpy((0.5, 0.0, 0.1), (0.0, 0.0, np.pi / 2))
    scene = Scene((Obstacle("wedge", Wedge(), turned),))
    ((kind, (center, _, half)),) = Vamp().environment(load_robot("panda"), scene, margin=0.01).added
    assert kind == "cuboid"
    assert center == pytest.approx((0.4, 0.1, 0.3))
    assert half == pytest.approx((0.11, 0.11, 0.21))


def test_points_and_cells_are_clouds(fake: FakeVamp) -> None:
    """In VAMP's world, with the radii of its robot; cells as the balls round them."""
    base, X_WO = pose_rpy((0.3, -0.2, 0.5), (0.1, -0.4, 2.0)), pose_rpy((0.6, 0.1, 0.4), (0.3, np.pi / 2, 0.0))
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (50, 3)).astype(np.float32)
    cells = np.zeros((3, 4, 5), dtype=bool)
    cells[2, 1, 0] = cells[0, 3, 4] = True
    scene = Scene(
        (Obstacle("seen", PointCloud(points, 0.004), X_WO), Obstacle("map", Voxels(cells, 0.05), X_WO)),
    )
    robot = load_robot("panda").with_base(base)
    (kind, cloud), (other, middles) = Vamp().environment(robot, scene, margin=0.01).added
    assert kind == other == "cloud"
    X_VO = BASES["panda"] @ np.linalg.inv(base) @ X_WO
    np.testing.assert_allclose(cloud[0], points @ X_VO[:3, :3].T + X_VO[:3, 3], atol=1e-12)
    assert cloud[1:] == pytest.approx((0.012, 0.06, 0.014))
    expected = np.array([[0.5, 3.5, 4.5], [2.5, 1.5, 0.5]]) * 0.05
    np.testing.assert_allclose(middles[0], expected @ X_VO[:3, :3].T + X_VO[:3, 3], atol=1e-12)
    assert middles[3] == pytest.approx(0.05 * np.sqrt(3) / 2 + 0.01)


def test_what_it_cannot_take_is_refused(fake: FakeVamp) -> None:
    panda = load_robot("panda")
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    mesh = Mesh(corners, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    with pytest.raises(InvalidInputError, match="obstacle 'rock': VAMP knows no Mesh; only Sphere, Box, Cylinder"):
        Vamp().environment(panda, Scene.of({"rock": (mesh, (1, 0, 0))}))
    field = DistanceField(np.linspace(-0.1, 0.1, 27).reshape(3, 3, 3), 0.1)
    with pytest.raises(InvalidInputError, match=r"obstacle 'map': VAMP knows no DistanceField; .*PointCloud, Voxels"):
        Vamp().environment(panda, Scene.of({"map": (field, (1, 0, 0))}))
    carrying = panda.with_attachment("mug", Cylinder(0.03, 0.1), np.eye(4), link="panda_hand")
    with pytest.raises(InvalidInputError, match="bare arm; this robot carries mug"):
        Vamp().environment(carrying, Scene.of({}))
    fake.panda.joint_names = lambda: ["a", "b"]
    with pytest.raises(InvalidInputError, match="VAMP's has"):
        Vamp().environment(panda, Scene.of({}))
    fake.robots = ["ur5"]
    with pytest.raises(InvalidInputError, match="no model of robot 'panda'; it has ur5"):
        Vamp().environment(panda, Scene.of({}))


def test_missing_or_another_package_of_this_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (None, SimpleNamespace(collect=None)):  # PyPI's "vamp" analyses audio
        monkeypatch.setitem(sys.modules, "vamp", module)
        with pytest.raises(MissingDependencyError, match="pip install vamp-planner"):
            Vamp()


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(UnknownNameError, match="valid: box, capsule"):
        VampSettings(cylinders="sphere")
    with pytest.raises(InvalidInputError, match="margin"):
        VampSettings(margin=-1)


# --- VAMP itself -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vamp():
    module = pytest.importorskip("vamp")
    if not hasattr(module, "configure_robot_and_planner_with_kwargs"):
        pytest.skip("the module 'vamp' that is installed is another package")
    return module


@pytest.mark.parametrize("name", BASES)
def test_its_robots_are_ours_and_stand_where_we_think(vamp, name: str) -> None:
    """Its tool is fixed to our last body, whatever the configuration."""
    robot = load_robot(name).with_base(BASES[name])
    q = np.random.default_rng(0).uniform(-2.0, 2.0, (5, robot.dof)).astype(np.float32)
    X_WB = body_poses(robot, torch.as_tensor(q, dtype=torch.float64)).numpy()[:, -1]
    X_BE = np.linalg.inv(X_WB) @ np.array([getattr(vamp, name).eefk(row) for row in q])
    np.testing.assert_allclose(X_BE, np.broadcast_to(X_BE[0], X_BE.shape), atol=2e-6)
    assert tuple(getattr(vamp, name).joint_names()) == robot.joint_names
    assert np.linalg.norm(X_BE[0, :3, 3]) < 0.25
    assert name != "ur5" or np.array_equal(BASES[name], MOVEIT_BASES["ur5"])


@pytest.mark.parametrize("shape", [Box((0.2, 0.02, 0.06)), Cylinder(0.02, 0.2), Capsule(0.02, 0.2), Sphere(0.03)])
def test_it_finds_obstacles_where_they_are(vamp, shape) -> None:
    """An obstacle around the hand is hit, one that is moved away is not, wherever the base stands."""
    rng = np.random.default_rng(1)
    for _ in range(10):
        base = pose_rpy(rng.uniform(-1, 1, 3), rng.uniform(-1.5, 1.5, 3))
        robot = load_robot("panda").with_base(base)
        X_WH = body_poses(robot, torch.as_tensor(START)).numpy()[-1] @ pose_rpy((0, 0, 0.14), (0, 0, 0))
        for offset, hit in ((0.0, True), (0.35, False)):
            X_WO = X_WH @ pose_rpy((0.0, 0.0, offset), rng.uniform(-1.5, 1.5, 3))
            environment = Vamp().environment(robot, Scene((Obstacle("it", shape, X_WO),)))
            assert vamp.panda.validate(START.tolist(), environment) is not hit


def test_it_plans_and_the_judge_agrees(vamp) -> None:
    for seed in range(3):
        problem = task(over_the_box(), seed=seed)
        claim = Vamp().search(problem)
        assert claim.status is Status.SOLVED
        verdict = Judge(problem.robot, problem.scene).check_path(claim.path, start=START, goal=GOAL)
        assert verdict.valid, verdict.message()
