"""Attached objects: extra geometry fixed to a link, counted as robot from then on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edmp.arguments import numbers, shown
from edmp.errors import InvalidInputError, unknown_name
from edmp.geometry.kinds import hull_points
from edmp.geometry.poses import apply, rigid
from edmp.geometry.shapes import Shape, Sphere
from edmp.robots.geometry_fit import FitSettings, fit_box, fit_hull, fit_spheres
from edmp.robots.parts import AllowedContact, Array, Link, LinkBox

if TYPE_CHECKING:
    from edmp.robots.robot import Robot

ATTACHMENT_FIT = FitSettings(hull_stick_out=5e-4, sphere_stick_out=0.01, max_spheres=12, relocations=0, num_samples=250)
"""A quick fit: objects are attached while a person, or a task, waits."""
THINNEST, LONGEST = 1e-4, 10.0
"""Attached objects have at least, and at most, this extent in every direction [m]."""


def attach(
    robot: Robot,
    name: str,
    shape: Any,
    X_LA: Array,
    *,
    link: str,
    allowed_contacts: Sequence[str] = (),
    settings: FitSettings = ATTACHMENT_FIT,
) -> Robot:
    """See `Robot.with_attachment`."""
    if not isinstance(name, str) or not name.strip():
        raise InvalidInputError(f"an attachment needs a non-empty string as its name, got {name!r}")
    carrier = robot.links[robot.link_index(link)]
    if name in robot.link_names:
        raise InvalidInputError(f"attachment {name!r}: the robot already has a link of this name")
    if isinstance(allowed_contacts, str) or not all(isinstance(other, str) and other for other in allowed_contacts):
        raise InvalidInputError(
            f"attachment {name!r}: allowed_contacts must be a list of names of links or obstacles, "
            f"got {allowed_contacts!r}"
        )
    obstacles = [AllowedContact(name, other) for other in allowed_contacts if other not in robot.link_names]
    X_LA = rigid(X_LA, f"attachment {name!r}: X_LA")
    hull_A, spheres_A, (X_AX, size) = _fitted(shape_points(shape, name).tobytes(), _exact_spheres(shape), settings)
    X_BA = carrier.X_BL @ X_LA
    spheres_B = np.column_stack([apply(X_BA, spheres_A[:, :3]), spheres_A[:, 3]])
    attached = Link(
        name, carrier.body, X_BA, (apply(X_BA, hull_A),), spheres_B, LinkBox(X_BA @ X_AX, size), attached=True
    )
    touching = {link, *allowed_contacts, *_gripper_links(robot, carrier)}
    last = len(robot.links)
    # Links of the carrier's body never move against the object: what touches, touches always, and is not checked.
    pairs = [
        (i, last)
        for i, other in enumerate(robot.links)
        if other.hulls_B and other.name not in touching and other.body != carrier.body
    ]
    return dataclasses.replace(
        robot,
        links=(*robot.links, attached),
        collision_pairs=(*robot.collision_pairs, *pairs),
        allowed_contacts=(*robot.allowed_contacts, *obstacles),
    )


def _fitted(points: bytes, spheres_A: Array | None, settings: FitSettings) -> tuple[Array, Array, tuple[Array, Array]]:
    """Hull, spheres (those given, if there are any) and box of points; the last few are kept, a fit takes a while."""
    key = (points, spheres_A is None, settings)
    if key not in _FITS:
        while len(_FITS) >= _KEPT:
            _FITS.pop(next(iter(_FITS)))
        hull = fit_hull(np.frombuffer(points).reshape(-1, 3), settings)
        spheres = fit_spheres([hull], [], settings) if spheres_A is None else spheres_A
        _FITS[key] = hull, spheres, fit_box([hull])
    return _FITS[key]


_FITS: dict[tuple[bytes, bool, FitSettings], tuple[Array, Array, tuple[Array, Array]]] = {}
_KEPT = 32
"""Objects whose fit is kept: trying many grasps attaches the same one many times."""


def allowed(robot: Robot, contacts: Sequence[tuple[str, str]]) -> list[AllowedContact]:
    """See `Robot.with_allowed_contacts`."""
    found = []
    for contact in contacts:
        if not isinstance(contact, list | tuple) or len(contact) != 2 or not all(isinstance(n, str) for n in contact):
            raise InvalidInputError(f"an allowed contact is a pair (link, obstacle) of names, got {contact!r}")
        link, obstacle = contact
        found.append(AllowedContact(robot.links[robot.link_index(link)].name, obstacle))
    return found


def detach(robot: Robot, name: str) -> Robot:
    """See `Robot.without_attachment`."""
    attached = [link.name for link in robot.links if link.attached]
    if name not in attached:
        raise unknown_name("attachment", name, attached)
    gone = robot.link_index(name)
    renumbered = tuple((i - (i > gone), j - (j > gone)) for i, j in robot.collision_pairs if gone not in (i, j))
    links = tuple(link for link in robot.links if link.name != name)
    kept = tuple(contact for contact in robot.allowed_contacts if contact.link != name)
    return dataclasses.replace(robot, links=links, collision_pairs=renumbered, allowed_contacts=kept)


def _gripper_links(robot: Robot, carrier: Link) -> set[str]:
    """The fingers, and what is between them and the carrier: everything on the fingers' body."""
    if robot.gripper is None:
        return set()
    fingers = {finger.link for finger in robot.gripper.fingers}
    bodies = {link.body for link in robot.links if link.name in fingers}
    return fingers if carrier.body in bodies else set()


def shape_points(shape: Any, name: str) -> Array:
    """(n, 3) points whose convex hull contains an object, in its own frame [m].

    Accepted: a shape of a scene; a mesh (anything with ``vertices``, such as a trimesh); an array of vertices (n, 3).
    """
    place = f"attachment {name!r}"
    points = hull_points(shape) if isinstance(shape, Shape) else numbers(getattr(shape, "vertices", shape))
    if (
        points is None
        or points.ndim != 2
        or points.shape[1:] != (3,)
        or len(points) < 4
        or not np.isfinite(points).all()
    ):
        raise InvalidInputError(
            f"{place}: shape must be a Box, Cylinder, Capsule, Sphere or mesh, or finite vertices (n, 3) with n >= 4, "
            f"got {shown(shape)}"
        )
    _check_size(points, place)
    return points


def _check_size(points: Array, place: str) -> None:
    """An object has a volume that an arm of this size can feel, and hold."""
    _, _, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    size = np.ptp(points @ axes.T, axis=0)
    words = " x ".join(f"{extent:.3g}" for extent in size)
    if size.min() < THINNEST * (1 - 1e-6):
        raise InvalidInputError(
            f"{place}: shape is {words} m, which is no volume; an object is at least {THINNEST:g} m thick everywhere"
        )
    if size.max() > LONGEST:
        raise InvalidInputError(f"{place}: shape is {words} m; an object is at most {LONGEST:g} m long")


def _exact_spheres(shape: Any) -> Array | None:
    """(1, 4) for a ball, which needs no fit beyond covering its own polytope; None for anything else."""
    if not isinstance(shape, Sphere):
        return None
    reach = np.linalg.norm(hull_points(shape), axis=1).max()
    return np.array([[0.0, 0.0, 0.0, reach + 1e-3 * shape.radius]])
