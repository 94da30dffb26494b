"""`World`: a robot and a scene packed for the kernels, on one device."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.collision.kernels import chain as k
from edmp.collision.kernels.obstacles import Obstacles
from edmp.collision.obstacles import FAR, Kept, checked_margins, pack_obstacles
from edmp.errors import InvalidInputError
from edmp.robots.kinematics import body_poses
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.warp_start import wp

Array = NDArray[np.float64]

MAX_JOINTS, MAX_LINKS = 24, 64
"""Room in the kernels (`edmp.collision.kernels.chain`)."""
_LANES = 8


@dataclass(frozen=True)
class World:
    """A robot among obstacles, packed.

    Attributes:
        robot: the arm.
        scene: the obstacles.
        device: Warp device name, ``"cpu"`` or ``"cuda:0"``.
        margins: by how much named obstacles count as bigger than they are, on all sides [m]; the rest by nothing.
        chain: the robot as kernels read it.
        obstacles: the scene as kernels read it.
    """

    robot: Robot
    scene: Scene
    device: str
    chain: k.Chain
    obstacles: Obstacles
    margins: Mapping[str, float] = field(default_factory=dict, hash=False)
    _kept: Kept = ()

    @property
    def torch_device(self) -> torch.device:
        """The same device for torch."""
        return torch.device(self.device)

    @classmethod
    @checked
    def of(
        cls,
        robot: Robot,
        scene: Scene,
        *,
        device: str = "cpu",
        only_separable: bool = False,
        margins: Mapping[str, float] | None = None,
    ) -> World:
        """Pack ``robot`` and ``scene``.

        Args:
            robot: the arm, with at most `MAX_JOINTS` moving joints and `MAX_LINKS` links.
            scene: the obstacles.
            device: Warp device name.
            only_separable: leave out the collision pairs that spheres cannot tell apart, see `separable_pairs`.
            margins: distances by which named obstacles are to count as bigger than they are, on all sides [m].

        Raises:
            InvalidInputError: robot too large, no such device, a margin below zero.
            UnknownNameError: a margin round an obstacle that the scene does not have.
        """
        device = checked_device(device)
        margins = checked_margins(margins or {}, scene)
        obstacles, kept = pack_obstacles(scene, margins, device)
        chains = _CHAINS.setdefault(robot, {})
        key = (device, only_separable)
        if key not in chains:
            pairs = separable_pairs(robot) if only_separable else robot.collision_pairs
            chains[key] = _pack_chain(robot, device, pairs)
        return cls(robot, scene, device, chains[key], obstacles, margins, kept)

    def shrunk(self, by: Array) -> World:
        """The same world with smaller spheres.

        Args:
            by: (S,) what to take off the radius of each sphere, in the order of ``chain.sphere_radius`` [m]. Bounds of
                links stay as they are, which is conservative.
        """
        chain = k.Chain()
        for name in k.Chain.vars:  # type: ignore[attr-defined]
            setattr(chain, name, getattr(self.chain, name))
        radii = np.maximum(self.chain.sphere_radius.numpy() - by, 1e-3).astype(np.float32)
        lanes = self.chain.pack_radius.numpy().copy()  # on a CPU the array itself, which other worlds share
        lanes[np.arange(lanes.shape[1]) < self.chain.pack_count.numpy()[:, None]] = radii
        chain.sphere_radius = wp.array(radii, dtype=float, device=self.device)
        chain.pack_radius = wp.array(lanes, dtype=k.Lanes, device=self.device)
        return dataclasses.replace(self, chain=chain)


def checked_device(name: str) -> str:
    """The Warp device of this name, ``"cuda"`` being the first GPU.

    Raises:
        InvalidInputError: this machine has none of that name; the message lists those it has.
    """
    devices = [device.alias for device in wp.get_devices()]
    found = {"cuda": "cuda:0"}.get(name, name) if isinstance(name, str) else None
    if found not in devices:
        raise InvalidInputError(f"device {name!r} is not on this machine; there is {', '.join(devices)}")
    return found


_CHAINS: WeakKeyDictionary[Robot, dict[tuple[str, bool], k.Chain]] = WeakKeyDictionary()
"""Packing a robot takes milliseconds and a planner does it for every scene: keep it as long as the robot lives."""


def _pack_chain(robot: Robot, device: str, collision_pairs: tuple[tuple[int, int], ...]) -> k.Chain:
    for what, count, most in (("moving joints", robot.dof, MAX_JOINTS), ("links", len(robot.links), MAX_LINKS)):
        if count > most:
            raise InvalidInputError(f"robot {robot.name!r} has {count} {what}; the kernels take at most {most}")
    radii = robot.spheres[:, 3]
    order = sorted(range(len(robot.links)), key=lambda i: robot.links[i].body)
    rank = {link: i for i, link in enumerate(order)}
    by_link = [np.flatnonzero(robot.sphere_link == i) for i in order]
    spheres = np.concatenate(by_link)
    centers, bounds = zip(*(_bounding_ball(robot.spheres[rows, :3], radii[rows]) for rows in by_link), strict=True)
    boxes = [robot.links[i].box for i in order]
    with_spheres = set(robot.sphere_link.tolist())
    checked = [pair for pair in collision_pairs if with_spheres.issuperset(pair)]
    pairs = np.array([sorted((rank[i], rank[j])) for i, j in checked], dtype=np.int32).reshape(-1, 2)

    def pack(values, dtype):
        return wp.array(np.asarray(values), dtype=dtype, device=device)

    chain = k.Chain()
    chain.dof = robot.dof
    chain.joint_parent = pack(robot.parents, int)
    chain.joint_kind = pack([0 if joint.kind == "revolute" else 1 for joint in robot.joints], int)
    chain.R_PJ = pack([joint.X_PJ[:3, :3] for joint in robot.joints], wp.mat33)
    chain.p_PJ = pack([joint.X_PJ[:3, 3] for joint in robot.joints], wp.vec3)
    chain.joint_reach = pack(_joint_reach(robot), float)
    chain.R_W0 = wp.mat33(*robot.X_W0[:3, :3].ravel())
    chain.p_W0 = wp.vec3(*robot.X_W0[:3, 3])
    chain.num_links = len(order)
    chain.link_body = pack([robot.links[i].body for i in order], int)
    chain.link_center_B = pack(centers, wp.vec3)
    chain.link_radius = pack(bounds, float)
    boxes_B = [_bounding_box(robot.spheres[rows, :3], radii[rows]) for rows in by_link]
    chain.link_middle_B = pack([(lower + upper) / 2 for lower, upper in boxes_B], wp.vec3)
    chain.link_half_B = pack([(upper - lower) / 2 for lower, upper in boxes_B], wp.vec3)
    chain.link_first_sphere = pack(np.concatenate([[0], np.cumsum([len(rows) for rows in by_link])]), int)
    chain.sphere_B = pack(robot.spheres[spheres, :3], wp.vec3)
    chain.sphere_radius = pack(radii[spheres], float)
    packs = [rows[i : i + _LANES] for rows in by_link for i in range(0, len(rows), _LANES)]
    lanes = np.tile([*FAR, 0.0], (len(packs), _LANES, 1))  # lanes without a sphere hold one that is nowhere near
    for pack_lanes, rows in zip(lanes, packs, strict=True):
        pack_lanes[: len(rows)] = np.column_stack([robot.spheres[rows, :3], radii[rows]])
    chain.link_first_pack = pack(np.cumsum([0, *(-(-len(rows) // _LANES) for rows in by_link)]), int)
    chain.pack_count = pack([len(rows) for rows in packs], int)
    chain.pack_x, chain.pack_y, chain.pack_z, chain.pack_radius = (pack(lanes[..., i], k.Lanes) for i in range(4))
    chain.num_pairs = len(pairs)
    chain.pair_i = pack(pairs[:, 0], int)
    chain.pair_j = pack(pairs[:, 1], int)
    link_body = [robot.links[i].body for i in order]
    chain.pair_body = pack([robot.common_body(link_body[i], link_body[j]) for i, j in pairs], int)
    chain.link_box_p_BX = pack([box.X_BX[:3, 3] if box else np.zeros(3) for box in boxes], wp.vec3)
    chain.link_box_R_BX = pack([box.X_BX[:3, :3] if box else np.eye(3) for box in boxes], wp.mat33)
    chain.link_box_half = pack([box.size / 2 if box else np.full(3, -1.0) for box in boxes], wp.vec3)
    return chain


def separable_pairs(robot: Robot) -> tuple[tuple[int, int], ...]:
    """The collision pairs that spheres can tell apart.

    Spheres stick out. Where two links run close to each other theirs may overlap in every configuration: such a pair
    would block, or push, for ever, and is left to the judge alone.
    """
    rng = np.random.default_rng(0)
    lower, upper = robot.limits.lower, robot.limits.upper
    q = torch.as_tensor(rng.uniform(lower, upper, (200, robot.dof)), device="cpu")
    X_WB = body_poses(robot, q).numpy()[:, robot.sphere_body]
    centers = np.einsum("nsij,sj->nsi", X_WB[..., :3, :3], robot.spheres[:, :3]) + X_WB[..., :3, 3]
    separable = []
    for i, j in robot.collision_pairs:
        a, b = robot.sphere_link == i, robot.sphere_link == j
        gap = np.linalg.norm(centers[:, a, None] - centers[:, None, b], axis=-1)
        gap -= robot.spheres[a, 3][:, None] + robot.spheres[b, 3]
        if (gap.min(axis=(1, 2), initial=np.inf) < 0).mean() < 0.98:
            separable.append((i, j))
    return tuple(separable)


def _joint_reach(robot: Robot) -> Array:
    """(dof,) how far a point of the arm can move for one unit of each joint [m/rad or 1]; any pose of the others."""
    sphere_reach = np.linalg.norm(robot.spheres[:, :3], axis=1) + robot.spheres[:, 3]
    from_here = np.zeros(robot.num_bodies)  # farthest point of the arm beyond body b, from its origin
    for b in reversed(range(robot.num_bodies)):
        own = sphere_reach[robot.sphere_body == b].max(initial=0.0)
        carried = [i for i, parent in enumerate(robot.parents) if parent == b]
        further = [np.linalg.norm(robot.joints[i].X_PJ[:3, 3]) + from_here[i + 1] for i in carried]
        beyond = max(further, default=0.0)
        slide = 0.0
        if b > 0 and robot.joints[b - 1].kind == "prismatic":
            slide = max(abs(robot.limits.lower[b - 1]), abs(robot.limits.upper[b - 1]))
        from_here[b] = max(own, beyond) + slide
    return np.array([1.0 if j.kind == "prismatic" else from_here[i + 1] for i, j in enumerate(robot.joints)])


def _bounding_ball(centers: Array, radii: Array) -> tuple[Array, float]:
    """A small ball around balls: centre (3,) and radius; any centre is valid, a good one culls more."""
    if len(centers) == 0:
        return np.zeros(3), -1.0e9
    center = (np.min(centers - radii[:, None], axis=0) + np.max(centers + radii[:, None], axis=0)) / 2
    for step in 1.0 / np.arange(2, 60):  # Badoiu and Clarkson 2003
        reach = np.linalg.norm(centers - center, axis=1) + radii
        far = int(np.argmax(reach))
        center = center + step * (centers[far] - center)
    return center, float(np.max(np.linalg.norm(centers - center, axis=1) + radii))


def _bounding_box(centers: Array, radii: Array) -> tuple[Array, Array]:
    """Lower and upper corner (3,) of the box around balls."""
    if len(centers) == 0:
        return np.zeros(3), np.zeros(3)
    return np.min(centers - radii[:, None], axis=0), np.max(centers + radii[:, None], axis=0)
