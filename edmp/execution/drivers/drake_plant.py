"""Drake's model of an arm and what stands around it, from our descriptions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydrake.geometry import (
    AddCompliantHydroelasticProperties,
    AddContactMaterial,
    AddRigidHydroelasticProperties,
    Box,
    Capsule,
    CollisionFilterDeclaration,
    Convex,
    Cylinder,
    GeometryId,
    GeometrySet,
    ProximityProperties,
    SceneGraph,
    Sphere,
)
from pydrake.math import RigidTransform
from pydrake.multibody.plant import AddMultibodyPlant, CoulombFriction, MultibodyPlant, MultibodyPlantConfig
from pydrake.multibody.tree import (
    CalcSpatialInertia,
    FixedOffsetFrame,
    ModelInstanceIndex,
    PrismaticJoint,
    RevoluteJoint,
    RigidBody,
    RotationalInertia,
    SpatialInertia,
)
from pydrake.systems.framework import Diagram, DiagramBuilder

from edmp.dynamics.arm import LEAST_MASS, LEAST_RADIUS, PAYLOAD_RADIUS, ArmDynamics, effort_scale
from edmp.errors import EdmpWarning
from edmp.geometry import shapes
from edmp.geometry.boxed import boxes_round
from edmp.geometry.kinds import as_mesh
from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.robots.inertia import link_inertia
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.validate.meshes import prepared

Array = NDArray[np.float64]

_FRICTION = CoulombFriction(0.8, 0.6)
_SKIN = 1e-3
"""Thickness of the slabs that the surface of a mesh is made of where it is not convex [m]."""
_MOST_BALLS = 20_000
"""Points of a cloud that are simulated as they are."""
_DISSIPATION, _MODULUS, _RESOLUTION = 1.0, 1e7, 0.02
"""Of contact over areas: dissipation of Hunt and Crossley [s/m], pressure at full depth [Pa], size of triangles at most
[m]."""
_SAGITTA = 2e-4
"""What is round is made of triangles so small that they leave it by no more than about this [m]: of 2 cm, a can as thin
as a thumb is a hexagon, and fingers close 5 mm further on it than on a can."""
_LEAST_FINGER = 1e-2
"""A finger weighs no less, or Drake could not move it [kg]."""
FINGER_INERTIA = 0.2
"""What a finger's motor adds to its mass [kg]."""
_JOINTS = {"revolute": RevoluteJoint, "prismatic": PrismaticJoint}


@dataclass(frozen=True, eq=False)
class ArmDiagram:
    """A diagram of arm and obstacles that touch each other.

    Attributes:
        diagram: plant and scene graph; its inputs are the actuation of the arm, and of the fingers if they move.
        plant: the arm welded to the world, its joints in the order of the robot's.
        arm: the arm in the plant.
        names: link or obstacle of each collision geometry.
        fingers: the joints of the gripper, each from the middle outwards; None if they stay as they are.
        objects: bodies of the obstacles that can be moved, by name.
    """

    diagram: Diagram
    plant: MultibodyPlant
    arm: ModelInstanceIndex
    names: Mapping[GeometryId, str]
    fingers: ModelInstanceIndex | None = None
    objects: Mapping[str, RigidBody] = field(default_factory=dict)


def make_diagram(
    robot: Robot,
    scene: Scene,
    *,
    time_step: float,
    rotor_inertia: float,
    mass_error: float,
    payload: float,
    movable: Collection[str] = (),
    density: float = 0.0,
) -> ArmDiagram:
    """The arm among the obstacles, with point contact between convex pieces.

    The pieces are ``link.hulls_B``, those that the judge uses; pairs of links that are not in ``collision_pairs``
    pass through each other. A mesh that is not convex is a surface of thin slabs: Drake's point contact would take its
    convex hull. What sensors saw is balls, and boxes made of cells.

    Args:
        robot: the arm; a gripper stays as it is, unless something can be moved.
        scene: obstacles, fixed in the world but for those that can be moved.
        time_step: of the plant [s].
        rotor_inertia: see `DrakeSimSettings`.
        mass_error: share by which every moving link is heavier than described [1].
        payload: mass at the tool frame that the description does not know [kg].
        movable: names of obstacles that are free bodies. With these, the gripper's fingers slide, and what they touch
            and what it lies on is in contact by pressure over areas (hydroelastic contact, Elandt et al. 2019), so that
            a box stands on its table and does not turn between the fingers.
        density: of these bodies [kg/m^3].
    """
    builder = DiagramBuilder()
    config = MultibodyPlantConfig(
        time_step=time_step, contact_model="hydroelastic_with_fallback" if movable else "point"
    )
    plant, graph = AddMultibodyPlant(config, builder)
    if movable and robot.gripper is not None:
        robot = robot.with_gripper(0.0)  # fingers slide from here
    sliding = {finger.link for finger in robot.gripper.fingers} if movable and robot.gripper else set()
    arm, bodies = _add_arm(plant, robot, rotor_inertia, 1.0 + mass_error, payload, sliding)
    fingers, body_of = _add_fingers(plant, robot, bodies, sliding)
    names: dict[GeometryId, str] = {}
    of_link = []
    for link in robot.links:
        properties = _properties("rigid" if link.name in sliding else "")
        ids = [
            plant.RegisterCollisionGeometry(
                body_of.get(link.name, bodies[link.body]),
                RigidTransform(),
                _convex(hull, link.name),
                f"{link.name}/{k}",
                properties,
            )
            for k, hull in enumerate(link.hulls_B)
        ]
        names.update(dict.fromkeys(ids, link.name))
        of_link.append(ids)
    objects = {}
    for obstacle in scene:
        free = obstacle.name in movable
        if free:
            objects[obstacle.name] = _free_body(plant, obstacle, density)
        pieces = [(_whole(obstacle), RigidTransform())] if free else _pieces(obstacle)
        size = _triangle_size(obstacle.shape)
        properties = _properties("compliant" if free else "rigid" if movable and len(pieces) == 1 else "", size)
        for k, (shape, X_OG) in enumerate(pieces):
            body = objects[obstacle.name] if free else plant.world_body()
            X_BG = X_OG if free else _pose(obstacle.X_WO) @ X_OG
            geometry = plant.RegisterCollisionGeometry(body, X_BG, shape, f"obstacle/{obstacle.name}/{k}", properties)
            names[geometry] = obstacle.name
    _filter(graph, robot, of_link)
    plant.Finalize()
    for obstacle in scene:
        if obstacle.name in objects:
            plant.SetDefaultFloatingBaseBodyPose(objects[obstacle.name], _pose(obstacle.X_WO))
    builder.ExportInput(plant.get_actuation_input_port(arm), "torques")
    if fingers is not None:
        builder.ExportInput(plant.get_actuation_input_port(fingers), "forces")
    return ArmDiagram(builder.Build(), plant, arm, names, fingers, objects)


def _triangle_size(shape: shapes.Shape) -> float:
    """Of what a shape is made of where it presses over an area: the chord of an arc that is `_SAGITTA` high [m]."""
    radius = getattr(shape, "radius", np.inf)
    return float(min(_RESOLUTION, np.sqrt(8.0 * radius * _SAGITTA)))


def _properties(pressure: str, size: float = _RESOLUTION) -> ProximityProperties:
    """Of a collision geometry: friction, and whether it can press over an area, ``rigid`` or ``compliant``, made of
    triangles of a ``size`` [m]."""
    properties = ProximityProperties()
    AddContactMaterial(_DISSIPATION, None, _FRICTION, properties)
    if pressure == "rigid":
        AddRigidHydroelasticProperties(size, properties)
    elif pressure == "compliant":
        AddCompliantHydroelasticProperties(size, _MODULUS, properties)
    return properties


def _whole(obstacle: Obstacle) -> Any:
    """One shape: of what is not convex the convex hull, which is told."""
    pieces = _pieces(obstacle)
    if len(pieces) == 1:
        return pieces[0][0]
    message = f"{obstacle.name!r} is not convex: where it is moved, it is simulated as its convex hull"
    warnings.warn(message, EdmpWarning, stacklevel=2)
    return _convex(as_mesh(obstacle.shape).vertices, obstacle.name)


def _free_body(plant: MultibodyPlant, obstacle: Obstacle, density: float) -> RigidBody:
    instance = plant.AddModelInstance(f"object {obstacle.name}")
    return plant.AddRigidBody(obstacle.name, instance, CalcSpatialInertia(_whole(obstacle), density))


def _add_fingers(
    plant: MultibodyPlant, robot: Robot, bodies: list[RigidBody], sliding: Collection[str]
) -> tuple[ModelInstanceIndex | None, dict[str, RigidBody]]:
    """The fingers as bodies that slide outwards from where they meet, and the body of each by its name."""
    if not sliding or robot.gripper is None:
        return None, {}
    fingers = plant.AddModelInstance(f"{robot.name} gripper")
    body_of = {}
    for finger in robot.gripper.fingers:
        link = robot.links[robot.link_index(finger.link)]
        inertia = link_inertia(link)
        mass = SpatialInertia.SolidSphereWithMass(_LEAST_FINGER, 0.01)
        if inertia is not None:
            xx, xy, xz, _, yy, yz, _, _, zz = inertia.I_C_B.ravel()
            mass += _spatial(inertia.mass, inertia.com_B, RotationalInertia(xx, yy, zz, xy, xz, yz))
        body = body_of[finger.link] = plant.AddRigidBody(finger.link, fingers, mass)
        axis: Any = link.X_BL[:3, :3] @ finger.axis
        joint = plant.AddJoint(
            PrismaticJoint(f"{finger.link} slides", bodies[link.body].body_frame(), body.body_frame(), axis)
        )
        lower: Any = np.array([0.0])
        upper: Any = np.array([robot.gripper.max_width / 2 + 1e-3])
        joint.set_position_limits(lower, upper)
        motor = plant.AddJointActuator(finger.link, joint)
        motor.set_default_rotor_inertia(FINGER_INERTIA)
    return fingers, body_of


def make_model(robot: Robot, *, rotor_inertia: float, time_step: float = 0.0) -> MultibodyPlant:
    """What a controller knows of the arm: kinematics and masses as described, nothing around it.

    ``time_step`` is that of a discrete plant [s]; 0: continuous.
    """
    plant = MultibodyPlant(time_step)
    _add_arm(plant, robot, rotor_inertia, 1.0, 0.0, ())
    plant.Finalize()
    return plant


def become(plant: Any, instance: ModelInstanceIndex, arm: ArmDynamics, context: Any) -> None:
    """Make masses and motors of the arm in a plant those of ``arm``; friction is `JointFriction`'s."""
    for i, name in enumerate(arm.robot.joint_names):
        xx, xy, xz, _, yy, yz, _, _, zz = arm.I_C_B[i].ravel()
        about_centre = RotationalInertia(xx, yy, zz, xy, xz, yz)
        inertia = SpatialInertia.MakeFromCentralInertia(arm.mass[i], arm.com_B[i], about_centre)
        plant.GetBodyByName(f"body{i + 1}", instance).SetSpatialInertiaInBodyFrame(context, inertia)
        plant.GetJointActuatorByName(name, instance).SetRotorInertia(context, arm.armature[i])


def _add_arm(
    plant: MultibodyPlant,
    robot: Robot,
    rotor_inertia: float,
    mass_share: float,
    payload: float,
    without: Collection[str],
) -> tuple[ModelInstanceIndex, list[RigidBody]]:
    """Model instance and bodies (dof + 1), the fixed base first; links ``without`` which have bodies of their own."""
    arm = plant.AddModelInstance(robot.name)
    limits = robot.limits
    bodies: list[RigidBody] = []
    for index in range(robot.num_bodies):
        inertia = _body_inertia(robot, index, mass_share if index else 1.0, payload, without)
        body = plant.AddRigidBody(f"body{index}", arm, inertia)
        if index == 0:
            plant.WeldFrames(plant.world_frame(), body.body_frame(), _pose(robot.X_W0))
        else:
            described = robot.joints[index - 1]
            parent: Any = bodies[robot.parents[index - 1]]
            before = plant.AddFrame(_fixed_frame(f"before_{described.name}", parent, described.X_PJ))
            axis: Any = [0.0, 0.0, 1.0]
            joint = plant.AddJoint(_JOINTS[described.kind](described.name, before, body.body_frame(), axis))
            lower: Any = np.array([limits.lower[index - 1]])
            upper: Any = np.array([limits.upper[index - 1]])
            joint.set_position_limits(lower, upper)
            effort = float(limits.effort[index - 1])
            motor = plant.AddJointActuator(described.name, joint, effort)
            motor.set_default_rotor_inertia(rotor_inertia * effort_scale(robot)[index - 1])
        bodies.append(body)
    return arm, bodies


def _fixed_frame(name: str, body: RigidBody, X_BF: Array) -> Any:
    return FixedOffsetFrame(name, body.body_frame(), _pose(X_BF))


def _body_inertia(
    robot: Robot, body: int, mass_share: float, payload: float, without: Collection[str]
) -> SpatialInertia:
    """Of all links of a body, about its origin; never quite nothing, which Drake could not move."""
    total = SpatialInertia.SolidSphereWithMass(LEAST_MASS, LEAST_RADIUS)
    for link in robot.links:
        inertia = link_inertia(link) if link.body == body and link.name not in without else None
        if inertia is not None:
            xx, xy, xz, _, yy, yz, _, _, zz = (inertia.I_C_B * mass_share).ravel()
            about_centre = RotationalInertia(xx, yy, zz, xy, xz, yz)
            total += _spatial(inertia.mass * mass_share, inertia.com_B, about_centre)
    if payload > 0.0 and body == robot.tool.body:
        moment = 0.4 * payload * PAYLOAD_RADIUS**2
        total += _spatial(payload, robot.tool.X_BT[:3, 3], RotationalInertia(moment, moment, moment))
    return total


def _spatial(mass: float, com: Any, about_centre: RotationalInertia) -> SpatialInertia:
    return SpatialInertia.MakeFromCentralInertia(mass, com, about_centre)


def _pose(X: Any) -> RigidTransform:
    return RigidTransform(X)


def _convex(points: Any, label: str) -> Convex:
    """The convex hull of points (n, 3)."""
    return Convex(points.T, label)


def _filter(graph: SceneGraph, robot: Robot, of_link: list[list[GeometryId]]) -> None:
    """Links that may touch, because they always do or never can, do not collide."""
    checked = set(robot.collision_pairs)
    manager = graph.collision_filter_manager()
    for i in range(len(of_link)):
        for j in range(i, len(of_link)):
            if (i, j) not in checked and of_link[i] and of_link[j]:
                one, other = GeometrySet(of_link[i]), GeometrySet(of_link[j])
                manager.Apply(CollisionFilterDeclaration().ExcludeBetween(one, other))


def _pieces(obstacle: Obstacle) -> list[tuple[Any, RigidTransform]]:
    """Shapes whose union is the obstacle, each with its pose in the obstacle's frame."""
    here = RigidTransform()
    if primitive := _PRIMITIVES.get(type(obstacle.shape)):
        return [(primitive(obstacle.shape), here)]
    if isinstance(obstacle.shape, PointCloud | Voxels | DistanceField):
        return _sensed_pieces(obstacle)
    mesh = as_mesh(obstacle.shape)
    if prepared(mesh).is_convex:
        return [(_convex(mesh.vertices, obstacle.name), here)]
    return [(_convex(slab, obstacle.name), here) for slab in _slabs(mesh)]


def _sensed_pieces(obstacle: Obstacle) -> list[tuple[Any, RigidTransform]]:
    """Voxels as boxes that are joined cells; points as balls, or many as boxes that contain them, like fields."""
    shape = obstacle.shape
    if isinstance(shape, PointCloud) and len(shape.points) <= _MOST_BALLS:
        ball = Sphere(shape.radius)
        return [(ball, RigidTransform(point)) for point in shape.points.astype(np.float64)]
    middles, sizes, beyond = boxes_round(shape)
    if beyond:
        warnings.warn(
            f"{obstacle.name!r} is simulated as {len(middles)} boxes that contain it and leave it by up to "
            f"{1e3 * beyond:.3g} mm: contacts there are the boxes', not its own",
            EdmpWarning,
            stacklevel=4,
        )
    return [(Box(*size), RigidTransform(middle)) for middle, size in zip(middles, sizes, strict=True)]


_PRIMITIVES: Mapping[type[shapes.Shape], Callable[[Any], Any]] = {
    shapes.Box: lambda shape: Box(*shape.size),
    shapes.Cylinder: lambda shape: Cylinder(shape.radius, shape.length),
    shapes.Capsule: lambda shape: Capsule(shape.radius, shape.length),
    shapes.Sphere: lambda shape: Sphere(shape.radius),
}


def _slabs(mesh: shapes.Mesh) -> list[Array]:
    """(6, 3) corners of a thin slab under each triangle that has an area; the slabs lie inside the mesh."""
    corners = mesh.vertices[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1)
    kept = length > 1e-12
    inward = -_SKIN * normal[kept] / length[kept, None]
    return list(np.concatenate([corners[kept], corners[kept] + inward[:, None]], axis=1))
