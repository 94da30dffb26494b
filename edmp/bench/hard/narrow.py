"""Narrow: into a cage, bin or shelf whose passage is 1 to 3 cm wider than what of the arm goes through."""

from __future__ import annotations

import numpy as np

from edmp.bench.expert import TASK, kind_of
from edmp.bench.hard.containers import KINDS, Container, container
from edmp.bench.hard.draft import Array, Draft, Rng, free_at, home_like
from edmp.collision.free import relaxed_world
from edmp.connect import connect
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.validate import Judge

ROOM = (0.01, 0.03)
"""How much wider a passage is than what goes through it [m]."""

APART = 1.0
"""Of start and goal, in joint space [rad]."""


def draw(robot: Robot, number: int, rng: Rng) -> Draft | None:
    """Odd numbers lead from one container to another, even ones from near home into one."""
    kinds = sorted(KINDS)
    place = _container(robot, str(rng.choice(kinds)), rng, prefix="")
    if place is None:
        return None
    places = [place]
    if kind_of(number) == TASK:
        other = next(
            filter(None, (_container(robot, str(rng.choice(kinds)), rng, prefix="from_") for _ in range(4))), None
        )
        if other is None:
            return None
        places.append(other)
    scene = Scene(tuple(obstacle for each in places for obstacle in each.obstacles))
    judge = Judge(robot, scene)
    if not all(judge.check_path(each.way).valid for each in places):
        return None
    goal = place.way[0]
    start = places[1].way[0] if len(places) > 1 else free_at(judge, home_like(robot, rng))
    if start is None or np.linalg.norm(start - goal) < APART:
        return None
    lead = places[1].way if len(places) > 1 else start[None]
    known = joined(robot, scene, lead, place.way, int(rng.integers(2**30)))
    what = " to ".join(each.kind for each in reversed(places))
    return None if known is None else Draft(scene, start, goal[None], False, what, (known,))


def _container(robot: Robot, kind: str, rng: Rng, *, prefix: str) -> Container | None:
    return container(robot, kind, rng, prefix=prefix, room=ROOM)


def joined(robot: Robot, scene: Scene, first: Array, last: Array, seed: int) -> Array | None:
    """A path out along ``first`` (n, dof), across, and backwards along ``last`` (m, dof); None if none is found."""
    world = relaxed_world(robot, scene, np.vstack([first, last]))
    for attempt in range(2):
        (across,) = connect(
            world, first[-1][None], last[-1][None], seed=seed + attempt, max_iterations=4000, shortcuts=200
        )
        if across is not None:
            return np.concatenate([first[:-1], across, last[-2::-1]])
    return None
