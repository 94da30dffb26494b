"""Fused kernels on the sphere model: clearance cost with gradient, and the yes/no test of configurations and edges."""

import warp as wp

from edmp.costs.kernels.chain import (
    MAX_BODIES,
    MAX_LINKS,
    REVOLUTE,
    Chain,
    Configuration,
    Obstacles,
    Pose,
    may_touch,
    next_body,
    obstacle_distance,
)

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
    n = chain.dof
    epsilon = margin[b]
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    force = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    moment = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    center = wp.zeros(shape=(MAX_LINKS,), dtype=wp.vec3)
    total = float(0.0)
    X = Pose()
    X.R = chain.R_W0
    X.p = chain.p_W0
    R[0] = X.R
    p[0] = X.p
    for i in range(n):
        X = next_body(chain, i, X, q[b, w, i])
        R[i + 1] = X.R
        p[i + 1] = X.p

    for link in range(chain.num_links):
        body = chain.link_body[link]
        R_WB = R[body]
        p_WB = p[body]
        center_W = R_WB * chain.link_center_B[link] + p_WB
        center[link] = center_W
        if body > 0:
            reach = chain.link_radius[link] + epsilon
            for o in range(obstacles.count):
                if may_touch(obstacles, o, center_W, reach):
                    R_WO = obstacles.R_WO[o]
                    p_WO = obstacles.p_WO[o]
                    for s in range(chain.link_first_sphere[link], chain.link_first_sphere[link + 1]):
                        p_W = R_WB * chain.sphere_B[s] + p_WB
                        radius = chain.sphere_radius[s]
                        nd = obstacle_distance(obstacles, o, (p_W - p_WO) * R_WO, radius + epsilon)
                        gap = nd[3] - radius
                        if gap < epsilon:
                            h = hinge(gap, epsilon)
                            total += h[0]
                            f = R_WO * (wp.vec3(nd[0], nd[1], nd[2]) * h[1])
                            force[body] += f
                            moment[body] += wp.cross(p_W, f)

    for k in range(chain.num_pairs):
        i = chain.pair_i[k]
        j = chain.pair_j[k]
        reach = chain.link_radius[i] + chain.link_radius[j] + self_margin
        between = center[i] - center[j]
        if wp.dot(between, between) < reach * reach:
            bi = chain.link_body[i]
            bj = chain.link_body[j]
            for s in range(chain.link_first_sphere[i], chain.link_first_sphere[i + 1]):
                ps = R[bi] * chain.sphere_B[s] + p[bi]
                near = chain.sphere_radius[s] + self_margin
                toward = ps - center[j]
                if wp.dot(toward, toward) < (near + chain.link_radius[j]) * (near + chain.link_radius[j]):
                    ps_j = (ps - p[bj]) * R[bj]
                    for t in range(chain.link_first_sphere[j], chain.link_first_sphere[j + 1]):
                        v = ps_j - chain.sphere_B[t]
                        touch = near + chain.sphere_radius[t]
                        if wp.dot(v, v) < touch * touch:
                            d = wp.length(v)
                            h = hinge(d - chain.sphere_radius[s] - chain.sphere_radius[t], self_margin)
                            total += h[0]
                            f = R[bj] * (v * (h[1] / wp.max(d, 1.0e-6)))
                            m = wp.cross(ps, f)  # the other sphere's centre lies on the line of force: same moment
                            force[bi] += f
                            moment[bi] += m
                            force[bj] -= f
                            moment[bj] -= m

    cost[b, w] = total
    f_sum = wp.vec3()
    m_sum = wp.vec3()
    for back in range(n):
        body = n - back
        f_sum += force[body]
        m_sum += moment[body]
        R_WB = R[body]
        axis = wp.vec3(R_WB[0, 2], R_WB[1, 2], R_WB[2, 2])
        if chain.joint_kind[body - 1] == REVOLUTE:
            gradient[b, w, body - 1] = wp.dot(axis, m_sum - wp.cross(p[body], f_sum))
        else:
            gradient[b, w, body - 1] = wp.dot(axis, f_sum)


@wp.func
def configuration_free(chain: Chain, obstacles: Obstacles, q: Configuration, margin: float) -> bool:
    """True if every sphere keeps ``margin`` from every obstacle and no pair of links overlaps; stops at the first hit."""
    n = chain.dof
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    center = wp.zeros(shape=(MAX_LINKS,), dtype=wp.vec3)
    X = Pose()
    X.R = chain.R_W0
    X.p = chain.p_W0
    R[0] = X.R
    p[0] = X.p
    for i in range(n):
        X = next_body(chain, i, X, q[i])
        R[i + 1] = X.R
        p[i + 1] = X.p
    for link in range(chain.num_links):
        body = chain.link_body[link]
        R_WB = R[body]
        p_WB = p[body]
        center_W = R_WB * chain.link_center_B[link] + p_WB
        center[link] = center_W
        if body > 0:
            reach = chain.link_radius[link] + margin
            for o in range(obstacles.count):
                if may_touch(obstacles, o, center_W, reach):
                    R_WO = obstacles.R_WO[o]
                    p_WO = obstacles.p_WO[o]
                    for s in range(chain.link_first_sphere[link], chain.link_first_sphere[link + 1]):
                        p_W = R_WB * chain.sphere_B[s] + p_WB
                        touch = chain.sphere_radius[s] + margin
                        nd = obstacle_distance(obstacles, o, (p_W - p_WO) * R_WO, touch)
                        if nd[3] < touch:
                            return False
    for k in range(chain.num_pairs):
        i = chain.pair_i[k]
        j = chain.pair_j[k]
        reach = chain.link_radius[i] + chain.link_radius[j]
        between = center[i] - center[j]
        if wp.dot(between, between) < reach * reach:
            bi = chain.link_body[i]
            bj = chain.link_body[j]
            for s in range(chain.link_first_sphere[i], chain.link_first_sphere[i + 1]):
                ps = R[bi] * chain.sphere_B[s] + p[bi]
                near = chain.sphere_radius[s]
                toward = ps - center[j]
                if wp.dot(toward, toward) < (near + chain.link_radius[j]) * (near + chain.link_radius[j]):
                    ps_j = (ps - p[bj]) * R[bj]
                    for t in range(chain.link_first_sphere[j], chain.link_first_sphere[j + 1]):
                        v = ps_j - chain.sphere_B[t]
                        touch = near + chain.sphere_radius[t]
                        if wp.dot(v, v) < touch * touch:
                            return False
    return True


@wp.func
def edge_free(
    chain: Chain, obstacles: Obstacles, a: Configuration, b: Configuration, step: float, margin: float
) -> bool:
    """True if samples along the straight edge are free, ``a`` excluded, ``b`` included.

    Between two samples no point of the arm moves farther than ``step`` [m].
    """
    travel = float(0.0)
    for j in range(chain.dof):
        travel += wp.abs(b[j] - a[j]) * chain.joint_reach[j]
    count = wp.max(int(wp.ceil(travel / step)), 1)
    if not configuration_free(chain, obstacles, b, margin):
        return False
    for i in range(1, count):
        t = float(i) / float(count)
        if not configuration_free(chain, obstacles, a + t * (b - a), margin):
            return False
    return True


@wp.kernel
def rows_free(
    chain: Chain,
    obstacles: Obstacles,
    q: wp.array(dtype=float, ndim=3),
    margin: float,
    first: int,
    free: wp.array(dtype=wp.bool, ndim=2),
):
    """free[b, w]: is configuration q[b, w] free?"""
    row, w = wp.tid()
    b = row + first
    x = Configuration()
    for j in range(chain.dof):
        x[j] = q[b, w, j]
    free[b, w] = configuration_free(chain, obstacles, x, margin)


@wp.kernel
def edges_free(
    chain: Chain,
    obstacles: Obstacles,
    q: wp.array(dtype=float, ndim=3),
    step: float,
    margin: float,
    first: int,
    free: wp.array(dtype=wp.bool, ndim=2),
):
    """free[b, e]: is the straight edge from q[b, e] to q[b, e + 1] free, its first end excluded?"""
    row, e = wp.tid()
    b = row + first
    x = Configuration()
    y = Configuration()
    for j in range(chain.dof):
        x[j] = q[b, e, j]
        y[j] = q[b, e + 1, j]
    free[b, e] = edge_free(chain, obstacles, x, y, step, margin)


@wp.kernel
def sphere_gaps(
    chain: Chain,
    obstacles: Obstacles,
    q: wp.array(dtype=float, ndim=2),
    environment: wp.array(dtype=float, ndim=2),
    pairs: wp.array(dtype=float, ndim=2),
):
    """Per configuration and sphere: signed gap to the nearest obstacle, and to the nearest sphere it may not touch."""
    b = wp.tid()
    n = chain.dof
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    X = Pose()
    X.R = chain.R_W0
    X.p = chain.p_W0
    R[0] = X.R
    p[0] = X.p
    for i in range(n):
        X = next_body(chain, i, X, q[b, i])
        R[i + 1] = X.R
        p[i + 1] = X.p
    for link in range(chain.num_links):
        body = chain.link_body[link]
        for s in range(chain.link_first_sphere[link], chain.link_first_sphere[link + 1]):
            p_W = R[body] * chain.sphere_B[s] + p[body]
            gap = float(1.0e6)
            if body > 0:
                for o in range(obstacles.count):
                    nd = obstacle_distance(obstacles, o, (p_W - obstacles.p_WO[o]) * obstacles.R_WO[o], 1.0e3)
                    gap = wp.min(gap, nd[3] - chain.sphere_radius[s])
            environment[b, s] = gap
            pairs[b, s] = 1.0e6
    for k in range(chain.num_pairs):
        i = chain.pair_i[k]
        j = chain.pair_j[k]
        for s in range(chain.link_first_sphere[i], chain.link_first_sphere[i + 1]):
            ps = R[chain.link_body[i]] * chain.sphere_B[s] + p[chain.link_body[i]]
            for t in range(chain.link_first_sphere[j], chain.link_first_sphere[j + 1]):
                pt = R[chain.link_body[j]] * chain.sphere_B[t] + p[chain.link_body[j]]
                gap = wp.length(ps - pt) - chain.sphere_radius[s] - chain.sphere_radius[t]
                pairs[b, s] = wp.min(pairs[b, s], gap)
                pairs[b, t] = wp.min(pairs[b, t], gap)
