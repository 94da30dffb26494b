"""Fused kernels on the sphere model: costs of clearance and self-collision with hand-derived gradient.

Spheres and obstacles are culled eight at a time (`Lanes`); distances and their gradients are computed one by one, only
for what is within its margin.
"""

# ruff: noqa: UP018 -- float(0.0) is how a Warp kernel declares a variable; 0.0 would be a constant

from edmp.collision.kernels.chain import (
    LANES,
    MAX_BODIES,
    MAX_LINKS,
    Chain,
    Lanes,
    Pose,
    any_positive,
    configuration,
    forward_kinematics,
    link_centers,
    links_near,
    pack_slack,
    posed_pack,
    project,
    relative,
)
from edmp.collision.kernels.obstacles import Obstacles, group_slack, may_reach, obstacle_distance
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.func
def hinge(d: float, margin: float) -> wp.vec2:
    """CHOMP's obstacle potential (Ratliff et al. 2009, eq. 7) and its derivative, of a signed distance."""
    if d >= margin:
        return wp.vec2(0.0, 0.0)
    if d < 0.0:
        return wp.vec2(0.5 * margin - d, -1.0)
    e = d - margin
    m = wp.max(margin, 1.0e-6)
    return wp.vec2(0.5 * e * e / m, e / m)


@wp.struct
class Push:
    """A cost, and its derivative by the motion of a body: force at, and moment about, the origin of some frame."""

    cost: float
    force: wp.vec3
    moment: wp.vec3


@wp.func
def obstacle_push(chain: Chain, obstacles: Obstacles, o: int, link: int, X_OB: Pose, epsilon: float) -> Push:
    """What obstacle o does to a link, in the frame of the obstacle; ``X_OB``: the pose of the link's body in it."""
    total = Push()
    half = obstacles.half[o]
    grown = epsilon + obstacles.margin[o]
    for k in range(chain.link_first_pack[link], chain.link_first_pack[link + 1]):
        pack = posed_pack(chain, k, X_OB.R, X_OB.p)
        slack = pack_slack(pack.x, pack.y, pack.z, half, pack.radius + Lanes(grown))
        if any_positive(slack):
            for i in range(chain.pack_count[k]):
                if slack[i] > 0.0:
                    p_O = wp.vec3(pack.x[i], pack.y[i], pack.z[i])
                    nd = obstacle_distance(obstacles, o, p_O, pack.radius[i] + epsilon)
                    h = hinge(nd[3] - pack.radius[i], epsilon)
                    f = wp.vec3(nd[0], nd[1], nd[2]) * h[1]
                    total.cost += h[0]
                    total.force += f
                    total.moment += wp.cross(p_O, f)
    return total


@wp.func
def environment_push(
    chain: Chain, obstacles: Obstacles, link: int, R_WB: wp.mat33, p_WB: wp.vec3, c_W: wp.vec3, epsilon: float
) -> Push:
    """What all obstacles do to a link with its bounding ball at ``c_W``, in the world frame."""
    total = Push()
    reach = chain.link_radius[link] + epsilon
    for g in range(obstacles.num_groups):
        near = group_slack(obstacles, g, c_W, reach)
        if any_positive(near):
            for i in range(wp.min(LANES, obstacles.count - LANES * g)):
                if near[i] > 0.0:
                    o = LANES * g + i
                    R_WO = obstacles.R_WO[o]
                    p_WO = obstacles.p_WO[o]
                    if may_reach(obstacles, o, (c_W - p_WO) * R_WO, reach):
                        X_OB = relative(R_WB, p_WB, R_WO, p_WO)
                        push = obstacle_push(chain, obstacles, o, link, X_OB, epsilon)
                        if push.cost > 0.0:
                            f = R_WO * push.force
                            total.cost += push.cost
                            total.force += f
                            total.moment += R_WO * push.moment + wp.cross(p_WO, f)
    return total


@wp.func
def sphere_push(chain: Chain, p: wp.vec3, radius: float, link: int, margin: float) -> Push:
    """What a link does to a sphere at ``p``, in the frame of the link's body."""
    total = Push()
    for k in range(chain.link_first_pack[link], chain.link_first_pack[link + 1]):
        x = Lanes(p[0]) - chain.pack_x[k]
        y = Lanes(p[1]) - chain.pack_y[k]
        z = Lanes(p[2]) - chain.pack_z[k]
        touch = chain.pack_radius[k] + Lanes(radius + margin)
        square = wp.cw_mul(x, x) + wp.cw_mul(y, y) + wp.cw_mul(z, z)
        slack = wp.cw_mul(touch, touch) - square
        if any_positive(slack):
            for t in range(chain.pack_count[k]):
                if slack[t] > 0.0:
                    d = wp.sqrt(square[t])
                    h = hinge(d - touch[t] + margin, margin)
                    f = wp.vec3(x[t], y[t], z[t]) * (h[1] / wp.max(d, 1.0e-6))
                    total.cost += h[0]
                    total.force += f
                    total.moment += wp.cross(p, f)
    return total


@wp.func
def pair_push(chain: Chain, i: int, j: int, X_ji: Pose, margin: float) -> Push:
    """What link j does to link i, in the frame of link j's body, where link i's has pose ``X_ji``."""
    total = Push()
    half = chain.link_half_B[j]
    middle = chain.link_middle_B[j]
    for k in range(chain.link_first_pack[i], chain.link_first_pack[i + 1]):
        pack = posed_pack(chain, k, X_ji.R, X_ji.p - middle)
        slack = pack_slack(pack.x, pack.y, pack.z, half, pack.radius + Lanes(margin))
        if any_positive(slack):
            for s in range(chain.pack_count[k]):
                if slack[s] > 0.0:
                    p = wp.vec3(pack.x[s], pack.y[s], pack.z[s]) + middle
                    push = sphere_push(chain, p, pack.radius[s], j, margin)
                    total.cost += push.cost
                    total.force += push.force
                    total.moment += push.moment
    return total


@wp.func
def self_push(
    chain: Chain,
    R: wp.array(dtype=wp.mat33),
    p: wp.array(dtype=wp.vec3),
    center: wp.array(dtype=wp.vec3),
    margin: float,
    force: wp.array(dtype=wp.vec3),
    moment: wp.array(dtype=wp.vec3),
) -> float:
    """Cost of links that are too close to each other; adds their forces and moments (world frame) to the bodies."""
    total = float(0.0)
    for k in range(chain.num_pairs):
        i = chain.pair_i[k]
        j = chain.pair_j[k]
        bi = chain.link_body[i]
        bj = chain.link_body[j]
        reach = chain.link_radius[i] + chain.link_radius[j] + margin
        if wp.length_sq(center[i] - center[j]) < reach * reach:
            X_ji = relative(R[bi], p[bi], R[bj], p[bj])
            if links_near(chain, i, j, X_ji, margin):
                push = pair_push(chain, i, j, X_ji, margin)
                if push.cost > 0.0:
                    total += push.cost
                    f = R[bj] * push.force
                    m = R[bj] * push.moment + wp.cross(p[bj], f)
                    force[bi] += f
                    moment[bi] += m
                    force[bj] -= f  # reaction, along the same line: same moment
                    moment[bj] -= m
    return total


@wp.kernel
def clearance_cost(
    chain: Chain,
    obstacles: Obstacles,
    q: wp.array(dtype=float, ndim=3),
    margin: wp.array(dtype=float),
    self_margin: float,
    first: int,
    cost: wp.array(dtype=float, ndim=2),
    gradient: wp.array(dtype=float, ndim=3),
):
    """One configuration a thread: sum over spheres and obstacles (and sphere pairs) of the hinge, and J^T f."""
    row, w = wp.tid()
    b = row + first
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    force = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    moment = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    center = wp.zeros(shape=(MAX_LINKS,), dtype=wp.vec3)
    forward_kinematics(chain, configuration(q, b, w), R, p)
    link_centers(chain, R, p, center)
    total = self_push(chain, R, p, center, self_margin, force, moment)
    for link in range(chain.num_links):
        body = chain.link_body[link]
        if body > 0:
            push = environment_push(chain, obstacles, link, R[body], p[body], center[link], margin[b])
            total += push.cost
            force[body] += push.force
            moment[body] += push.moment
    cost[b, w] = total
    project(chain, R, p, force, moment, b, w, gradient)


@wp.kernel
def self_cost(
    chain: Chain,
    q: wp.array(dtype=float, ndim=3),
    margin: float,
    first: int,
    cost: wp.array(dtype=float, ndim=2),
    gradient: wp.array(dtype=float, ndim=3),
):
    """The part of `clearance_cost` that comes from the arm's own links."""
    row, w = wp.tid()
    b = row + first
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    force = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    moment = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    center = wp.zeros(shape=(MAX_LINKS,), dtype=wp.vec3)
    forward_kinematics(chain, configuration(q, b, w), R, p)
    link_centers(chain, R, p, center)
    cost[b, w] = self_push(chain, R, p, center, margin, force, moment)
    project(chain, R, p, force, moment, b, w, gradient)
