# ruff: noqa: UP018, SIM102, SIM110 -- Warp: float(0.0) declares a variable, `and` does not stop early, no generators
"""The obstacle functional of CHOMP and the state cost of STOMP: what moving through a potential field costs.

Both weigh the potential c of every body point by the point's speed in the workspace, so that what counts is the length
of arc inside an obstacle, however fast it is passed. Body points are the robot's spheres. For a pair of links the point
moves in the frame of the other link, where that link's spheres stand still: there the same formula holds, with the
Jacobian of the relative motion.
"""

from edmp.collision.kernels.chain import (
    LANES,
    MAX_BODIES,
    Chain,
    any_positive,
    configuration,
    forward_kinematics,
    links_near,
    project,
    relative,
)
from edmp.collision.kernels.obstacles import Obstacles, group_slack, obstacle_distance
from edmp.costs.kernels.clearance import hinge
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

CHOMP = wp.constant(0)
STOMP = wp.constant(1)

STILL = wp.constant(1.0e-3)  # [m] per unit of time: slower than this, single precision knows no curvature


@wp.struct
class Passing:
    """A point passing an obstacle: cost c ||x'||, and the functional gradient by its position."""

    cost: float
    force: wp.vec3


@wp.func
def potential(kind: int, gap: float, epsilon: float) -> wp.vec2:
    """c and dc/dgap: CHOMP's hinge, or STOMP's max(epsilon - gap, 0)."""
    if kind == CHOMP:
        return hinge(gap, epsilon)
    if gap >= epsilon:
        return wp.vec2(0.0, 0.0)
    return wp.vec2(epsilon - gap, -1.0)


@wp.func
def passing(before: wp.vec3, x: wp.vec3, after: wp.vec3, dt: float, c: wp.vec2, normal: wp.vec3) -> Passing:
    """||x'|| [(I - x^ x^T) grad c - c kappa], kappa = (I - x^ x^T) x'' / ||x'||^2 (Ratliff et al. 2009).

    ``before``, ``x``, ``after``: the point at three consecutive waypoints, for central differences.
    """
    v = (after - before) / (2.0 * dt)
    speed = wp.length(v)
    push = Passing()
    push.cost = c[0] * speed
    if speed > STILL:
        along = v / speed
        bend = (after - 2.0 * x + before) / (dt * dt)
        grad = normal * c[1]
        f = speed * speed * grad - c[0] * bend
        push.force = (f - along * wp.dot(along, f)) / speed
    return push


@wp.func
def nearest_obstacle(obstacles: Obstacles, p_W: wp.vec3, reach: float) -> wp.vec4:
    """Gradient and value (n_W, d) of the distance to the nearest obstacle; (0, ``reach``) if none is nearer."""
    best = wp.vec4(0.0, 0.0, 0.0, reach)
    for g in range(obstacles.num_groups):
        near = group_slack(obstacles, g, p_W, reach)
        if any_positive(near):
            for i in range(wp.min(LANES, obstacles.count - LANES * g)):
                if near[i] > 0.0:
                    o = LANES * g + i
                    R_WO = obstacles.R_WO[o]
                    nd = obstacle_distance(obstacles, o, (p_W - obstacles.p_WO[o]) * R_WO, reach)
                    if nd[3] < best[3]:
                        n_W = R_WO * wp.vec3(nd[0], nd[1], nd[2])
                        best = wp.vec4(n_W[0], n_W[1], n_W[2], nd[3])
    return best


@wp.func
def any_obstacle(obstacles: Obstacles, c_W: wp.vec3, reach: float) -> bool:
    """May an obstacle be within ``reach`` of a point?"""
    for g in range(obstacles.num_groups):
        if any_positive(group_slack(obstacles, g, c_W, reach)):
            return True
    return False


@wp.func
def nearest_sphere(chain: Chain, link: int, p_B: wp.vec3, reach: float) -> wp.vec4:
    """As `nearest_obstacle`, to the spheres of a link, in the frame of its body; ``reach`` > 0."""
    best = wp.vec4(0.0, 0.0, 0.0, reach)
    for t in range(chain.link_first_sphere[link], chain.link_first_sphere[link + 1]):
        v = p_B - chain.sphere_B[t]
        d = wp.length(v)
        if d - chain.sphere_radius[t] < best[3]:
            n = v / wp.max(d, 1.0e-6)
            best = wp.vec4(n[0], n[1], n[2], d - chain.sphere_radius[t])
    return best


@wp.kernel
def passage_cost(
    chain: Chain,
    obstacles: Obstacles,
    q: wp.array(dtype=float, ndim=3),
    kind: int,
    epsilon: float,
    self_epsilon: float,
    dt: float,
    first: int,
    cost: wp.array(dtype=float, ndim=2),
    gap: wp.array(dtype=float, ndim=2),
    gradient: wp.array(dtype=float, ndim=3),
):
    """Interior waypoint ``row`` + 1 of trajectory b a thread.

    cost[b, w] = sum over body points of c ||x'||; gradient[b, w] = sum of J^T of the functional gradient;
    gap[b, w]: the smallest distance between surfaces, at most ``epsilon``.
    """
    row, b = wp.tid()
    w = row + first + 1
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    R_0 = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)  # at the waypoint before
    p_0 = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    R_1 = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)  # and at the one after
    p_1 = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    force = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    moment = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    forward_kinematics(chain, configuration(q, b, w), R, p)
    forward_kinematics(chain, configuration(q, b, w - 1), R_0, p_0)
    forward_kinematics(chain, configuration(q, b, w + 1), R_1, p_1)
    total = float(0.0)
    smallest = float(epsilon)
    for link in range(chain.num_links):
        body = chain.link_body[link]
        c_W = R[body] * chain.link_center_B[link] + p[body]
        if body > 0:
            if any_obstacle(obstacles, c_W, chain.link_radius[link] + epsilon):
                for s in range(chain.link_first_sphere[link], chain.link_first_sphere[link + 1]):
                    p_B = chain.sphere_B[s]
                    radius = chain.sphere_radius[s]
                    x = R[body] * p_B + p[body]
                    near = nearest_obstacle(obstacles, x, radius + epsilon)
                    d = near[3] - radius
                    if d < epsilon:
                        smallest = wp.min(smallest, d)
                        push = passing(
                            R_0[body] * p_B + p_0[body],
                            x,
                            R_1[body] * p_B + p_1[body],
                            dt,
                            potential(kind, d, epsilon),
                            wp.vec3(near[0], near[1], near[2]),
                        )
                        total += push.cost
                        force[body] += push.force
                        moment[body] += wp.cross(x, push.force)
    for k in range(chain.num_pairs):
        i = chain.pair_i[k]
        j = chain.pair_j[k]
        bi = chain.link_body[i]
        bj = chain.link_body[j]
        X = relative(R[bi], p[bi], R[bj], p[bj])
        if links_near(chain, i, j, X, self_epsilon):
            X_0 = relative(R_0[bi], p_0[bi], R_0[bj], p_0[bj])
            X_1 = relative(R_1[bi], p_1[bi], R_1[bj], p_1[bj])
            for s in range(chain.link_first_sphere[i], chain.link_first_sphere[i + 1]):
                p_B = chain.sphere_B[s]
                radius = chain.sphere_radius[s]
                x = X.R * p_B + X.p
                near = nearest_sphere(chain, j, x, radius + self_epsilon)
                d = near[3] - radius
                if d < self_epsilon:
                    smallest = wp.min(smallest, d)
                    push = passing(
                        X_0.R * p_B + X_0.p,
                        x,
                        X_1.R * p_B + X_1.p,
                        dt,
                        potential(kind, d, self_epsilon),
                        wp.vec3(near[0], near[1], near[2]),
                    )
                    total += push.cost
                    f = R[bj] * push.force
                    m = wp.cross(R[bj] * x + p[bj], f)
                    force[bi] += f
                    moment[bi] += m
                    force[bj] -= f  # the frame it moves in is moved by joints, too
                    moment[bj] -= m
    cost[b, w] = total
    gap[b, w] = smallest
    project(chain, R, p, force, moment, b, w, gradient)
