"""Is a configuration, or a straight edge, free of collision? On the sphere model, stopping at the first hit."""

# ruff: noqa: UP018, RUF046, SIM102 -- float(0.0) is how a Warp kernel declares a variable, and its `and` does not stop early

import warp as wp

from edmp.costs.kernels.chain import (
    BOX,
    LANES,
    MAX_BODIES,
    MAX_LINKS,
    Chain,
    Configuration,
    Lanes,
    Obstacles,
    Pose,
    any_positive,
    configuration,
    forward_kinematics,
    group_slack,
    links_near,
    may_touch,
    obstacle_distance,
    pack_slack,
    posed_pack,
)

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.func
def link_hits(chain: Chain, obstacles: Obstacles, o: int, link: int, X_OB: Pose, margin: float) -> bool:
    """Does a sphere of a link, whose body has pose ``X_OB`` in the frame of obstacle o, come within ``margin``?"""
    half = obstacles.half[o]
    for k in range(chain.link_first_pack[link], chain.link_first_pack[link + 1]):
        pack = posed_pack(chain, k, X_OB.R, X_OB.p)
        touch = pack.radius + Lanes(margin)
        slack = pack_slack(pack.x, pack.y, pack.z, half, touch)
        if any_positive(slack):
            if obstacles.kind[o] == BOX:
                return True
            for i in range(chain.pack_count[k]):
                if slack[i] > 0.0:
                    nd = obstacle_distance(obstacles, o, wp.vec3(pack.x[i], pack.y[i], pack.z[i]), touch[i])
                    if nd[3] < touch[i]:
                        return True
    return False


@wp.func
def links_hit(chain: Chain, i: int, j: int, X_ji: Pose) -> bool:
    """Do spheres of links i and j overlap? ``X_ji``: pose of link i's body in that of link j."""
    half = chain.link_half_B[j]
    middle = chain.link_middle_B[j]
    for k in range(chain.link_first_pack[i], chain.link_first_pack[i + 1]):
        pack = posed_pack(chain, k, X_ji.R, X_ji.p - middle)
        near = pack_slack(pack.x, pack.y, pack.z, half, pack.radius)
        if any_positive(near):
            for s in range(chain.pack_count[k]):
                if near[s] > 0.0:
                    p = wp.vec3(pack.x[s], pack.y[s], pack.z[s]) + middle
                    for m in range(chain.link_first_pack[j], chain.link_first_pack[j + 1]):
                        x = Lanes(p[0]) - chain.pack_x[m]
                        y = Lanes(p[1]) - chain.pack_y[m]
                        z = Lanes(p[2]) - chain.pack_z[m]
                        touch = chain.pack_radius[m] + Lanes(pack.radius[s])
                        slack = wp.cw_mul(touch, touch) - (wp.cw_mul(x, x) + wp.cw_mul(y, y) + wp.cw_mul(z, z))
                        if any_positive(slack):
                            return True
    return False


@wp.func
def configuration_free(chain: Chain, obstacles: Obstacles, q: Configuration, margin: float) -> bool:
    """True if every sphere keeps ``margin`` from every obstacle and no pair of links overlaps."""
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    center = wp.zeros(shape=(MAX_LINKS,), dtype=wp.vec3)
    forward_kinematics(chain, q, R, p)
    for back in range(chain.num_links):
        link = chain.num_links - 1 - back  # from the tip, which is what hits first
        body = chain.link_body[link]
        R_WB = R[body]
        p_WB = p[body]
        c_W = R_WB * chain.link_center_B[link] + p_WB
        center[link] = c_W
        if body > 0:
            reach = chain.link_radius[link] + margin
            for g in range(obstacles.num_groups):
                near = group_slack(obstacles, g, c_W, reach)
                if any_positive(near):
                    for i in range(wp.min(LANES, obstacles.count - LANES * g)):
                        if near[i] > 0.0:
                            o = LANES * g + i
                            R_WO = obstacles.R_WO[o]
                            p_WO = obstacles.p_WO[o]
                            if may_touch(obstacles.half[o], (c_W - p_WO) * R_WO, reach):
                                X_OB = Pose()
                                X_OB.R = wp.transpose(R_WO) * R_WB
                                X_OB.p = (p_WB - p_WO) * R_WO
                                if link_hits(chain, obstacles, o, link, X_OB, margin):
                                    return False
    for k in range(chain.num_pairs):
        i = chain.pair_i[k]
        j = chain.pair_j[k]
        reach = chain.link_radius[i] + chain.link_radius[j]
        if wp.length_sq(center[i] - center[j]) < reach * reach:
            bi = chain.link_body[i]
            bj = chain.link_body[j]
            X_ji = Pose()
            X_ji.R = wp.transpose(R[bj]) * R[bi]
            X_ji.p = (p[bi] - p[bj]) * R[bj]
            if links_near(chain, i, j, X_ji, 0.0):
                if links_hit(chain, i, j, X_ji):
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
    # Middle first, then quarters, eighths, ...: an edge that hits something is found out early.
    stride = int(1)
    while 2 * stride < count:
        stride *= 2
    while stride >= 1:
        i = stride
        while i < count:
            if not configuration_free(chain, obstacles, a + (float(i) / float(count)) * (b - a), margin):
                return False
            i += 2 * stride
        stride = stride / 2
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
    free[b, w] = configuration_free(chain, obstacles, configuration(q, b, w), margin)


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
    free[b, e] = edge_free(chain, obstacles, configuration(q, b, e), configuration(q, b, e + 1), step, margin)


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
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    x = Configuration()
    for j in range(chain.dof):
        x[j] = q[b, j]
    forward_kinematics(chain, x, R, p)
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
