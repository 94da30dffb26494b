"""Fused kernels of EDMP's volume costs, with hand-derived gradients.

The largest coordinate of a posed box along world axis i, c_i + sum_k |R_ik| e_k, is attained at the support vertex
v = c + sum_k sign(R_ik) e_k R_k. So the derivative of the cost by that coordinate is a force along axis i at v. With
h_i = v - c the smallest coordinate is attained at c - h_i; both forces together push with their sum at c, and add the
moment h_i x (their difference).
"""

# ruff: noqa: UP018 -- float(0.0) is how a Warp kernel declares a variable; 0.0 would be a constant

from edmp.collision.kernels.chain import (
    LANES,
    MAX_BODIES,
    Chain,
    Lanes,
    any_positive,
    configuration,
    forward_kinematics,
    project,
)
from edmp.collision.kernels.obstacles import Obstacles
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.struct
class Bounds:
    """A box along the world axes, or the derivatives of the cost by its corners."""

    lower: wp.vec3
    upper: wp.vec3


@wp.func
def posed_bounds(chain: Chain, link: int, R_WB: wp.mat33, p_WB: wp.vec3) -> Bounds:
    """The world box of a link's box."""
    R_WX = R_WB * chain.link_box_R_BX[link]
    c = R_WB * chain.link_box_p_BX[link] + p_WB
    e = chain.link_box_half[link]
    extent = wp.vec3(
        wp.abs(R_WX[0, 0]) * e[0] + wp.abs(R_WX[0, 1]) * e[1] + wp.abs(R_WX[0, 2]) * e[2],
        wp.abs(R_WX[1, 0]) * e[0] + wp.abs(R_WX[1, 1]) * e[1] + wp.abs(R_WX[1, 2]) * e[2],
        wp.abs(R_WX[2, 0]) * e[0] + wp.abs(R_WX[2, 1]) * e[1] + wp.abs(R_WX[2, 2]) * e[2],
    )
    bounds = Bounds()
    bounds.lower = c - extent
    bounds.upper = c + extent
    return bounds


@wp.func
def has_box(chain: Chain, link: int) -> bool:
    """Links on the fixed base cannot be pushed; links without a box carry negative extents."""
    return chain.link_body[link] > 0 and chain.link_box_half[link][0] >= 0.0


@wp.struct
class Volume:
    """Volume shared with obstacles, and its derivatives by the corners of the box that shares it."""

    value: float
    lower: wp.vec3
    upper: wp.vec3


@wp.func
def volume_within(obstacles: Obstacles, box: Bounds, clearance: float, expansion: float) -> Volume:
    """Volume that a box shares with each obstacle's box of full extents max(size, expansion) + clearance, summed."""
    total = Volume()
    least = Lanes(0.5 * expansion)
    more = Lanes(0.5 * clearance)
    zero = Lanes(0.0)
    center = 0.5 * (box.lower + box.upper)
    half = 0.5 * (box.upper - box.lower)
    for g in range(obstacles.num_groups):
        half_x = wp.max(obstacles.group_half_x[g], least) + more
        half_y = wp.max(obstacles.group_half_y[g], least) + more
        half_z = wp.max(obstacles.group_half_z[g], least) + more
        x = obstacles.group_x[g] - Lanes(center[0])
        y = obstacles.group_y[g] - Lanes(center[1])
        z = obstacles.group_z[g] - Lanes(center[2])
        reach_x = wp.max(half_x + Lanes(half[0]) - wp.abs(x), zero)
        reach_y = wp.max(half_y + Lanes(half[1]) - wp.abs(y), zero)
        reach_z = wp.max(half_z + Lanes(half[2]) - wp.abs(z), zero)
        meets = wp.cw_mul(wp.cw_mul(reach_x, reach_y), reach_z)
        if any_positive(meets):
            for i in range(wp.min(LANES, obstacles.count - LANES * g)):
                if meets[i] > 0.0:
                    other = wp.vec3(x[i], y[i], z[i])
                    other_half = wp.vec3(half_x[i], half_y[i], half_z[i])
                    shared = wp.min(half, other + other_half) - wp.max(-half, other - other_half)
                    face = wp.vec3(shared[1] * shared[2], shared[0] * shared[2], shared[0] * shared[1])
                    total.value += shared[0] * face[0]
                    total.upper += where_less(half, other + other_half, face)
                    total.lower -= where_less(other - other_half, -half, face)
    return total


@wp.func
def where_less(a: wp.vec3, b: wp.vec3, value: wp.vec3) -> wp.vec3:
    """``value`` where a < b, else 0, axis by axis."""
    return wp.vec3(
        wp.where(a[0] < b[0], value[0], 0.0),
        wp.where(a[1] < b[1], value[1], 0.0),
        wp.where(a[2] < b[2], value[2], 0.0),
    )


@wp.func
def share(mine: wp.vec3, other: wp.vec3, value: wp.vec3) -> wp.vec3:
    """``value`` where mine > other, half of it where they are equal (an arm that stands still), axis by axis."""
    return 0.5 * (where_less(other, mine, value) + value - where_less(mine, other, value))


@wp.func
def sign0(x: float) -> float:
    """-1, 0 or 1: at 0, where the support vertex jumps, the middle of its edge."""
    return wp.where(x > 0.0, 1.0, wp.where(x < 0.0, -1.0, 0.0))


@wp.func
def support(R_WX: wp.mat33, e: wp.vec3, i: int) -> wp.vec3:
    """h_i, from the centre of a posed box to its support vertex along world axis i."""
    return R_WX * wp.vec3(sign0(R_WX[i, 0]) * e[0], sign0(R_WX[i, 1]) * e[1], sign0(R_WX[i, 2]) * e[2])


@wp.func
def push_body(
    chain: Chain,
    link: int,
    lower: wp.vec3,
    upper: wp.vec3,
    R_WB: wp.mat33,
    p_WB: wp.vec3,
    force: wp.array(dtype=wp.vec3),
    moment: wp.array(dtype=wp.vec3),
):
    """Add the forces of the derivatives by the corners of a link's world box to its body."""
    body = chain.link_body[link]
    R_WX = R_WB * chain.link_box_R_BX[link]
    c = R_WB * chain.link_box_p_BX[link] + p_WB
    e = chain.link_box_half[link]
    f = upper + lower
    d = upper - lower
    m = wp.cross(c, f)
    m += wp.cross(support(R_WX, e, 0), wp.vec3(d[0], 0.0, 0.0))
    m += wp.cross(support(R_WX, e, 1), wp.vec3(0.0, d[1], 0.0))
    m += wp.cross(support(R_WX, e, 2), wp.vec3(0.0, 0.0, d[2]))
    force[body] += f
    moment[body] += m


@wp.kernel
def intersection_volume(
    chain: Chain,
    obstacles: Obstacles,
    q: wp.array(dtype=float, ndim=3),
    clearance: wp.array(dtype=float),
    expansion: wp.array(dtype=float),
    first: int,
    cost: wp.array(dtype=float, ndim=2),
    gradient: wp.array(dtype=float, ndim=3),
):
    """J_IV of one configuration a thread."""
    row, w = wp.tid()
    b = row + first
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    force = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    moment = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    forward_kinematics(chain, configuration(q, b, w), R, p)
    total = float(0.0)
    for link in range(chain.num_links):
        if has_box(chain, link):
            body = chain.link_body[link]
            bounds = posed_bounds(chain, link, R[body], p[body])
            volume = volume_within(obstacles, bounds, clearance[b], expansion[b])
            if volume.value > 0.0:
                total += volume.value
                push_body(chain, link, volume.lower, volume.upper, R[body], p[body], force, moment)
    cost[b, w] = total
    project(chain, R, p, force, moment, b, w, gradient)


@wp.kernel
def link_bounds(
    chain: Chain,
    q: wp.array(dtype=float, ndim=3),
    first: int,
    lower: wp.array(dtype=wp.vec3, ndim=3),
    upper: wp.array(dtype=wp.vec3, ndim=3),
):
    """World boxes of the links' boxes, (batch, waypoint, link)."""
    row, w = wp.tid()
    b = row + first
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    forward_kinematics(chain, configuration(q, b, w), R, p)
    for link in range(chain.num_links):
        if has_box(chain, link):
            body = chain.link_body[link]
            bounds = posed_bounds(chain, link, R[body], p[body])
            lower[b, w, link] = bounds.lower
            upper[b, w, link] = bounds.upper


@wp.kernel
def swept_volume(
    chain: Chain,
    obstacles: Obstacles,
    q: wp.array(dtype=float, ndim=3),
    clearance: wp.array(dtype=float),
    expansion: wp.array(dtype=float),
    lower: wp.array(dtype=wp.vec3, ndim=3),
    upper: wp.array(dtype=wp.vec3, ndim=3),
    first: int,
    cost: wp.array(dtype=float, ndim=2),
    gradient: wp.array(dtype=float, ndim=3),
):
    """J_SV: the cost of the step from waypoint w to w + 1, the gradient of both steps that end at waypoint w."""
    row, w = wp.tid()
    b = row + first
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    force = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    moment = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    forward_kinematics(chain, configuration(q, b, w), R, p)
    total = float(0.0)
    for link in range(chain.num_links):
        if has_box(chain, link):
            body = chain.link_body[link]
            mine = Bounds()
            mine.lower = lower[b, w, link]
            mine.upper = upper[b, w, link]
            push_lower = wp.vec3()
            push_upper = wp.vec3()
            for side in range(2):
                v = w - 1 + 2 * side
                if v >= 0 and v < q.shape[1]:
                    other_lower = lower[b, v, link]
                    other_upper = upper[b, v, link]
                    union = Bounds()
                    union.lower = wp.min(mine.lower, other_lower)
                    union.upper = wp.max(mine.upper, other_upper)
                    volume = volume_within(obstacles, union, clearance[b], expansion[b])
                    if volume.value > 0.0:
                        total += volume.value * float(side)
                        push_upper += share(mine.upper, other_upper, volume.upper)
                        push_lower += share(other_lower, mine.lower, volume.lower)
            push_body(chain, link, push_lower, push_upper, R[body], p[body], force, moment)
    cost[b, w] = total
    project(chain, R, p, force, moment, b, w, gradient)
