"""The judge against Drake's kinematics and scene graph."""

from __future__ import annotations

import numpy as np
import pytest
from validate_cases import random_robot, random_scene

from edmp.robots import load_robot
from edmp.validate import Judge


def drake_model(robot, scene):
    """A plant with the robot's hulls and the obstacles; returns it with its context and the ids of all geometry."""
    geometry = pytest.importorskip("pydrake.geometry")
    from pydrake.math import RigidTransform
    from pydrake.multibody.plant import AddMultibodyPlantSceneGraph, CoulombFriction
    from pydrake.multibody.tree import FixedOffsetFrame, PrismaticJoint, RevoluteJoint, SpatialInertia
    from pydrake.systems.framework import DiagramBuilder

    builder = DiagramBuilder()
    plant, graph = AddMultibodyPlantSceneGraph(builder, 0.0)
    base = plant.AddFrame(FixedOffsetFrame("base", plant.world_frame(), RigidTransform(robot.X_W0)))
    frame, bodies = base, [plant.world_body()]
    for j, joint in enumerate(robot.joints):
        body = plant.AddRigidBody(f"body{j}", SpatialInertia.SolidSphereWithMass(1.0, 0.1))
        parent = plant.AddFrame(FixedOffsetFrame(f"J{j}", frame, RigidTransform(joint.X_PJ)))
        kind = RevoluteJoint if joint.kind == "revolute" else PrismaticJoint
        plant.AddJoint(kind(f"joint{j}", parent, body.body_frame(), [0, 0, 1]))
        frame = body.body_frame()
        bodies.append(body)
    friction = CoulombFriction(1.0, 1.0)

    def register(body, X, shape, name):
        return plant.RegisterCollisionGeometry(body, RigidTransform(X), shape, name, friction)

    links = [
        [
            register(
                bodies[link.body],
                np.eye(4) if link.body else robot.X_W0,
                geometry.Convex(points=np.asarray(hull).T, label=f"{link.name}{k}"),
                f"{link.name}{k}",
            )
            for k, hull in enumerate(link.hulls_B)
        ]
        for link in robot.links
    ]
    makers = {
        "Box": lambda s: geometry.Box(*s.size),
        "Sphere": lambda s: geometry.Sphere(s.radius),
        "Cylinder": lambda s: geometry.Cylinder(s.radius, s.length),
        "Capsule": lambda s: geometry.Capsule(s.radius, s.length),
    }
    things = [register(plant.world_body(), o.X_WO, makers[type(o.shape).__name__](o.shape), o.name) for o in scene]
    plant.Finalize()
    diagram = builder.Build()
    root = diagram.CreateDefaultContext()
    return plant, graph, plant.GetMyMutableContextFromRoot(root), graph.GetMyContextFromRoot(root), links, things


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_drake(seed: int) -> None:
    rng = np.random.default_rng(seed)
    robot = random_robot(rng) if seed % 2 else load_robot("panda")
    scene = random_scene(rng, 6, 0.8)
    plant, graph, plant_context, graph_context, links, things = drake_model(robot, scene)
    judge = Judge(robot, scene)
    assert not judge._base
    compared = 0
    for _ in range(60):
        q = rng.uniform(robot.limits.lower, robot.limits.upper)
        plant.SetPositions(plant_context, q)
        query = graph.get_query_output_port().Eval(graph_context)

        def distance(a, b, query=query) -> float:
            return min(query.ComputeSignedDistancePairClosestPoints(i, j).distance for i in a for j in b)

        moving = [ids for link, ids in zip(robot.links, links, strict=True) if link.body > 0]
        env = min(distance(ids, [thing]) for ids in moving for thing in things)
        own = min(distance(links[i], links[j]) for i, j in robot.collision_pairs)
        if min(abs(env), abs(own)) < 1e-4:
            continue
        compared += 1
        verdict = judge.check(q)
        assert verdict.valid == (min(env, own) > 0), (env, own, verdict.message())
        if verdict.valid:
            assert verdict.min_clearance == pytest.approx(env, rel=2e-3, abs=1e-3)
        else:
            assert {contact.with_self for contact in verdict.contacts} == {
                s for s, d in ((False, env), (True, own)) if d < 0
            }
    assert compared > 50
