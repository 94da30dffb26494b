"""From a subject to a shot: what is drawn where and in which colour, and from which side."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.cached import cached_property
from edmp.errors import unknown_name
from edmp.geometry.poses import inverse
from edmp.geometry.shapes import Box
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.viz.camera import Box3, Camera, best_direction, direction, fitted
from edmp.viz.models import CARRIED, DrawnPart, placed, robot_parts
from edmp.viz.sensed import distances, is_sensed
from edmp.viz.shot import Body, Layer, Shot
from edmp.viz.subject import Subject
from edmp.viz.surfaces import Color, Surface, body_poses, moved, obstacle_surface, scene_surfaces, tool_positions, tube

Array = NDArray[np.float64]

START: Color = (0.25, 0.47, 0.80)
GOAL: Color = (0.95, 0.56, 0.16)
FAULT: Color = (0.87, 0.16, 0.16)
PATH: Color = (0.70, 0.07, 0.42)
SWEPT: Color = (0.45, 0.62, 0.86)
SPHERES: Color = (0.98, 0.80, 0.25)
BOXES: Color = (0.35, 0.75, 0.70)
REGION: Color = (0.20, 0.62, 0.45)
BASE: Color = (0.78, 0.80, 0.83)
FURNITURE: Color = (0.80, 0.74, 0.64)
THINGS: tuple[Color, ...] = ((0.55, 0.72, 0.60), (0.64, 0.62, 0.78), (0.80, 0.62, 0.58), (0.56, 0.70, 0.77))

GHOST_OPACITY = 0.15
END_OPACITY = 0.35
GOAL_OPACITY = 0.6
VEIL_OPACITY = 0.35
SWEPT_OPACITY = 0.4
REGION_OPACITY = 0.25
COINCIDING = 1.5e-3
"""How much farther the arm at the goal is taken to be, where it coincides with the arm at the start."""
TUBE_RADIUS = 0.005
SWEPT_POSES = 60
FIELD_OF_VIEW = 40.0
"""Of a camera that can be turned, from top to bottom [deg]."""

AXES: tuple[Color, ...] = ((0.82, 0.16, 0.16), (0.15, 0.60, 0.22), (0.13, 0.35, 0.85))
AXIS_LENGTH, AXIS_RADIUS = 0.12, 0.005
"""How the frame of a pose goal is drawn: x red, y green, z blue [m]."""
FARTHEST_GOAL = 5.0
"""A pose goal farther from the base than this [m] is not fitted into the picture: the robot would be a dot."""

OVERLAYS = ("spheres", "boxes", "swept", "clearance")
"""What can be shown on top: the optimiser's spheres, the links' boxes, the volume that the arm sweeps, and the distance
to the nearest obstacle in colours on the arm."""


@dataclass(frozen=True, eq=False)
class Staging:
    """A subject and how to look at it.

    Attributes:
        subject: what is shown.
        geometry: what the robot is drawn as, see `edmp.viz.models.GEOMETRIES`.
        show: some of `OVERLAYS`.
        azimuth, elevation: where to look from [rad]; the side that shows most of the robot if not given.
        size: (width, height) of the picture [pixels].
    """

    subject: Subject
    geometry: str = "auto"
    show: Collection[str] = ()
    azimuth: float | None = None
    elevation: float | None = None
    size: tuple[int, int] = (994, 828)

    def __post_init__(self) -> None:
        if isinstance(self.show, str):
            object.__setattr__(self, "show", (self.show,))
        for name in self.show:
            if name not in OVERLAYS:
                raise unknown_name("overlay in show=", name, OVERLAYS)

    @property
    def robot(self) -> Robot:
        return self.subject.robot

    @cached_property
    def parts(self) -> tuple[DrawnPart, ...]:
        return robot_parts(self.robot, self.geometry)

    @cached_property
    def ends(self) -> list[tuple[str, Array, Color]]:
        """``"start"`` and ``"goal"`` as far as they are known, with their colours; a subject without either stands."""
        subject = self.subject
        ends = [("start", subject.start, START), ("goal", subject.goal, GOAL)]
        known = [(name, q, color) for name, q, color in ends if q is not None]
        return known or [("start", subject.standing, START)]

    @property
    def goal_in_sight(self) -> bool:
        """Whether there is a pose goal that pictures are fitted to."""
        goal = self.subject.pose_goal
        return goal is not None and float(np.linalg.norm(goal.position - self.robot.X_W0[:3, 3])) <= FARTHEST_GOAL

    @cached_property
    def tool_path(self) -> Array:
        """(n, 3) of the tool along the motion [m]; n = 0 without one."""
        return tool_positions(self.robot, self.along(400)) if self.subject.motions else np.zeros((0, 3))

    def along(self, count: int) -> Array:
        """(count, dof) configurations, evenly along the samples of the motion in front."""
        q = self.subject.motions[0].positions
        at = np.linspace(0, len(q) - 1, count)
        return np.stack([np.interp(at, np.arange(len(q)), column) for column in q.T], axis=1)

    def between(self, count: int) -> Array:
        """(count, dof) configurations on the way, evenly along the tool's path."""
        if not self.subject.motions or not count:
            return np.zeros((0, self.robot.dof))
        q = self.along(400)
        moved = np.linalg.norm(np.diff(self.tool_path, axis=0), axis=1)
        moved += 0.1 * np.linalg.norm(np.diff(q, axis=0), axis=1)
        length = np.concatenate([[0.0], np.cumsum(moved)])
        wanted = np.linspace(0, length[-1], count + 2)[1:-1]
        return q[np.searchsorted(length, wanted).clip(0, len(q) - 1)]

    # --- surfaces ---

    def scene_surfaces(self) -> list[Surface]:
        """Every obstacle; red if at fault."""
        return list(self._scene_surfaces)

    @cached_property
    def _scene_surfaces(self) -> list[Surface]:
        scene, faults = self.subject.scene, self.subject.faults
        return scene_surfaces(scene, [obstacle_color(obstacle.name, obstacle.shape, faults) for obstacle in scene])

    def regions(self) -> list[Layer]:
        """Every named region of the scene, as a translucent box."""
        boxes = [Obstacle(one.name, Box(tuple(one.size)), one.X_WR) for one in self.subject.scene.regions]
        return [Layer([obstacle_surface(box, REGION)], REGION_OPACITY) for box in boxes]

    def robot_at(self, q: Array, color: Color | None, *, end: str = "", fixed: bool = True) -> list[Surface]:
        """The links at ``q`` (dof,).

        Args:
            q: where.
            color: shades of it, or the links' own colours.
            end: ``"start"`` or ``"goal"``, where links at fault are red.
            fixed: whether to include the links that no joint moves.
        """
        faults = self.subject.faults if end and self.subject.at_fault[end] else frozenset()
        parts = tuple(part for part in self.parts if fixed or part.body > 0)
        if "clearance" in self.show and not faults:
            return clearance_colored(placed(parts, self.robot, q), self.subject.scene)
        if color is None and not faults:
            return placed(parts, self.robot, q)
        carried = {link.name for link in self.robot.links if link.attached}
        colors = {
            part.link: FAULT
            if part.link in faults
            else CARRIED
            if part.link in carried
            else (BASE if part.body == 0 or color is None else color)
            for part in parts
        }
        return placed(parts, self.robot, q, colors)

    def goal_frame(self) -> list[Surface]:
        """The axes of the tool frame where a pose goal wants it."""
        goal = self.subject.pose_goal
        if goal is None:
            return []
        at, turned = goal.X_WT[:3, 3], goal.X_WT[:3, :3]
        tips = (np.stack([at, at + AXIS_LENGTH * turned[:, k]]) for k in range(3))
        return [tube(line, AXIS_RADIUS, color) for line, color in zip(tips, AXES, strict=True)]

    def goal_ghost(self) -> list[Surface]:
        """What the tool is fixed to, where a pose goal wants it; red if at fault. Nothing where the arm's own
        configuration at the goal is known."""
        subject, tool = self.subject, self.robot.tool
        if subject.pose_goal is None or subject.goal is not None or tool.body == 0:
            return []
        X_WB = subject.pose_goal.X_WT @ np.linalg.inv(tool.X_BT)
        faults = subject.faults if subject.at_fault["goal"] else frozenset()
        carried = (part for part in self.parts if part.body == tool.body)
        return [part.tinted(FAULT if part.link in faults else GOAL).at(X_WB) for part in carried]

    def _points_shown(self, shown: Array) -> Array:
        """(n, 3) what a picture has to show: the robot at ``shown`` (n, dof), and the pose goal."""
        points = [points_on(self.robot, shown)]
        if self.goal_in_sight:
            points += [surface.vertices for surface in (*self.goal_frame(), *self.goal_ghost())]
        return np.concatenate(points)

    def veils_at(self, q: Array) -> list[Layer]:
        """Translucent spheres and boxes round the links at ``q`` (dof,), as far as `show` asks for them."""
        layers = []
        for name, color in (("spheres", SPHERES), ("boxes", BOXES)):
            if name in self.show:
                parts = robot_parts(self.robot, name)
                colors = dict.fromkeys(self.robot.link_names, color)
                layers.append(Layer(placed(parts, self.robot, q, colors), VEIL_OPACITY))
        return layers

    def swept(self) -> list[Layer]:
        """The volume that the arm sweeps on its way, as convex pieces at many configurations."""
        if "swept" not in self.show or not self.subject.motions:
            return []
        parts = tuple(part for part in robot_parts(self.robot, "hulls") if part.body > 0)
        some = [surface for q in self.between(SWEPT_POSES) for surface in placed(parts, self.robot, q)]
        return [Layer([merged(some).colored(SWEPT)], SWEPT_OPACITY)]

    def ghosts(self, count: int) -> list[Layer]:
        """The arm at ``count`` places on its way, pale, from the start's colour to the goal's."""
        return [
            Layer(self.robot_at(q, blend(t), fixed=False), GHOST_OPACITY)
            for q, t in zip(self.between(count), np.linspace(0, 1, count + 2)[1:-1], strict=False)
        ]

    def bodies(self, q: Array) -> tuple[list[Body], Array]:
        """The arm in its own colours, with its veils, as bodies, and their poses (n, 4, 4) at ``q`` (dof,)."""
        X_WB = body_poses(self.robot, q[None])[0]
        parts: list[tuple[DrawnPart, Surface, float]] = [(part, part.surface, 1.0) for part in self.parts]
        if "clearance" in self.show:
            seen = clearance_colored(placed(self.parts, self.robot, q), self.subject.scene)
            parts = [
                (part, part.surface.colored(surface.color, surface.face_colors), 1.0)
                for part, surface in zip(self.parts, seen, strict=True)
            ]
        for name, color in (("spheres", SPHERES), ("boxes", BOXES)):
            if name in self.show:
                parts += [(part, part.tinted(color), VEIL_OPACITY) for part in robot_parts(self.robot, name)]
        return [Body(surface, opacity) for _, surface, opacity in parts], X_WB[[part.body for part, _, _ in parts]]

    # --- shots ---

    def camera(self, shown: Array, size: tuple[int, int] | None = None) -> Camera:
        """Fitted to the robot at the configurations ``shown`` (n, dof) and to what of the scene is near it."""
        robot, scene = self.robot, self.subject.scene
        on_robot = self._points_shown(shown)
        if self.azimuth is None:
            path = _some(self.tool_path if len(self.tool_path) else on_robot, 100)
            links = _link_boxes(robot, [q for _, q, _ in self.ends])
            view = best_direction(_some(on_robot, 400), scene, path, links)
            if self.elevation is not None:
                view = direction(float(np.arctan2(view[1], view[0])), self.elevation)
        else:
            view = direction(self.azimuth, np.radians(25) if self.elevation is None else self.elevation)
        return fitted(self._frame(on_robot), view, size or self.size)

    def _frame(self, on_robot: Array) -> Array:
        """Points that must be in the picture: the robot, and what of the scene is within 0.45 m of its surroundings."""
        low, high = on_robot.min(axis=0) - 0.45, on_robot.max(axis=0) + 0.45
        things = [np.clip(surface.vertices, low, high) for surface in self._scene_surfaces]
        near = [points for points in things if (np.ptp(points, axis=0) > 1e-6).all()]
        return np.concatenate([on_robot, *near])

    def orbit(self) -> tuple[Array, Array]:
        """Eye and target (3,) [m] of a camera that can be turned: it looks from the side that `camera` finds, from
        where a ball round the robot's motion fills `FIELD_OF_VIEW`, or round robot and scene, where only that is shown.
        """
        shown = np.concatenate([np.stack([q for _, q, _ in self.ends]), self.between(8)])
        points = self._points_shown(shown)
        subject = self.subject
        if not subject.motions and subject.goal is None and subject.pose_goal is None:
            points = self._frame(points)
        target = 0.5 * (points.min(axis=0) + points.max(axis=0))
        radius = float(np.linalg.norm(points - target, axis=1).max()) + (0.15 if len(self.subject.scene) else 0.0)
        target[2] -= 0.12 * radius  # the controls cover the bottom
        return target - self.camera(shown).axes[2] * radius / np.sin(np.radians(FIELD_OF_VIEW / 2)), target

    def picture(self, ghosts: int) -> Shot:
        """The arm at start and goal, pale on its way between."""
        shown = np.concatenate([np.stack([q for _, q, _ in self.ends]), self.between(ghosts)])
        still = self.scene_surfaces()
        layers = [*self.regions(), *self.swept(), *self.ghosts(ghosts)]
        alone = len(self.ends) == 1 and self.subject.result is None
        for k, (name, q, color) in enumerate(self.ends):
            surfaces = self.robot_at(q, None if alone else color, end=name, fixed=k == 0)
            still += [dataclasses.replace(surface, recede=k * COINCIDING) for surface in surfaces]
            layers += self.veils_at(q)
        if ghost := self.goal_ghost():
            layers.append(Layer(ghost, GOAL_OPACITY))
        still += self.goal_frame()
        return Shot(self.camera(shown), still, layers, (), _floor(still))

    def motion(self) -> Shot:
        """Start and goal pale, the tool's path, and the arm as what moves."""
        shot = self.backdrop()
        path = tube(_some(self.tool_path, 200), TUBE_RADIUS, PATH)
        bodies, _ = self.bodies(self.ends[0][1])
        return dataclasses.replace(shot, still=[*shot.still, path], bodies=bodies)

    def backdrop(self) -> Shot:
        """The scene, with the arm pale at start and goal."""
        shown = np.concatenate([np.stack([q for _, q, _ in self.ends]), self.between(8)])
        still = [*self.scene_surfaces(), *self.goal_frame()]
        moving = tuple(part for part in self.parts if part.body > 0)
        tints = [(q, dict.fromkeys(self.robot.link_names, color)) for _, q, color in self.ends]
        ends = [Layer(placed(moving, self.robot, q, colors), END_OPACITY) for q, colors in tints]
        return Shot(self.camera(shown), still, [*self.regions(), *self.swept(), *ends], (), _floor(still))


def obstacle_color(name: str, shape: Any, faults: Collection[str] = ()) -> Color:
    """Large or thin things are furniture; the rest get quiet colours of their own, the same in every picture."""
    if name in faults:
        return FAULT
    if isinstance(shape, Box) and (max(shape.size) > 0.35 or min(shape.size) < 0.03):
        return FURNITURE
    return THINGS[sum(name.encode()) % len(THINGS)]


def blend(t: float) -> Color:
    """Colour of a configuration on the way: pale, from the start's to the goal's."""
    r, g, b = 0.25 + 0.75 * ((1 - t) * np.array(START) + t * np.array(GOAL))
    return float(r), float(g), float(b)


def merged(surfaces: Sequence[Surface]) -> Surface:
    """Several surfaces as one thing, in the colour of the first."""
    offsets = np.cumsum([0, *(len(surface.vertices) for surface in surfaces[:-1])])
    normals = [surface.normals for surface in surfaces if surface.normals is not None]
    return Surface(
        np.concatenate([surface.vertices for surface in surfaces]),
        np.concatenate([surface.faces + offset for surface, offset in zip(surfaces, offsets, strict=True)]),
        surfaces[0].color,
        normals=np.concatenate(normals) if len(normals) == len(surfaces) else None,
    )


# --- clearance in colours --------------------------------------------------------------------------------------------

CLEARANCE_SCALE: tuple[tuple[float, Color], ...] = (
    (0.00, (0.78, 0.08, 0.12)),
    (0.02, (0.95, 0.45, 0.15)),
    (0.05, (0.99, 0.80, 0.32)),
    (0.10, (0.56, 0.78, 0.46)),
    (0.20, (0.78, 0.84, 0.90)),
)
"""Distance to the nearest obstacle [m], and its colour."""


def clearance_color(distance: Array) -> Array:
    """(n, 3) colours of distances (n,) [m]."""
    at, colors = zip(*CLEARANCE_SCALE, strict=True)
    return np.stack([np.interp(distance, at, channel) for channel in np.array(colors).T], axis=1)


def clearance_colored(surfaces: Sequence[Surface], scene: Scene) -> list[Surface]:
    """Surfaces in the world, every triangle in the colour of its distance to the nearest obstacle."""
    import torch

    from edmp.scenes.distance import scene_distance

    plain = scene.without(*(obstacle.name for obstacle in scene if is_sensed(obstacle.shape)))
    seen = [obstacle for obstacle in scene if is_sensed(obstacle.shape)]
    colored = []
    for surface in surfaces:
        p_W = torch.as_tensor(surface.vertices, dtype=torch.float32)
        with torch.no_grad():
            distance = torch.cat([scene_distance(plain, some)[0] for some in p_W.split(4096)]).numpy()
        for obstacle in seen:
            X_OW = inverse(obstacle.X_WO)
            distance = np.minimum(distance, distances(obstacle.shape, moved(surface.vertices, X_OW)))
        color = clearance_color(distance[surface.faces].mean(axis=1).astype(np.float64))
        colored.append(surface.colored(surface.color, color))
    return colored


# --- where to look from ----------------------------------------------------------------------------------------------


def points_on(robot: Robot, q: Array) -> Array:
    """(n, 3) vertices of all convex pieces at configurations ``q`` (m, dof)."""
    X_WB = body_poses(robot, q)
    parts = [moved(hull, X_WB[k, link.body]) for k in range(len(q)) for link in robot.links for hull in link.hulls_B]
    return np.concatenate(parts) if parts else X_WB[:, :, :3, 3].reshape(-1, 3)


def _link_boxes(robot: Robot, configurations: list[Array]) -> list[Box3]:
    """The boxes round the moving links, except those near the tool, at each configuration."""
    boxes = []
    for q in configurations:
        X_WB = body_poses(robot, q[None])[0]
        for link in robot.links:
            if link.box is not None and 0 < link.body < robot.dof - 1:
                X_XW = np.linalg.inv(X_WB[link.body] @ link.box.X_BX)
                boxes.append((X_XW, -link.box.size / 2, link.box.size / 2))
    return boxes


def _some(points: Array, count: int) -> Array:
    return points[np.linspace(0, len(points) - 1, min(count, len(points))).astype(int)]


def _floor(surfaces: Sequence[Surface]) -> float:
    """Height of the floor [m]: at most 0, and nothing is below."""
    return min([0.0, *(float(surface.vertices[:, 2].min()) for surface in surfaces)])
