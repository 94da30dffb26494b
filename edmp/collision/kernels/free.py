"""Is a configuration, or a straight edge, free of collision? On the sphere model, stopping at the first hit."""

# ruff: noqa: UP018, RUF046, SIM102 -- float(0.0) is how a Warp kernel declares a variable, and its `and` does not stop early

from edmp.collision.kernels.chain import (
    LANES,
    MAX_BODIES,
    MAX_LINKS,
    Chain,
    Configuration,
    Lanes,
    Pose,
    any_positive,
    configuration,
    forward_kinematics,
    links_near,
    pack_slack,
    posed_pack,
    relative,
)
from edmp.collision.kernels.obstacles import Obstacles, fills_box, group_slack, may_reach, obstacle_distance
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

BodyTravel = wp.types.vector(length=25, dtype=wp.float32)  # one number a body, the base included
COARSE = wp.constant(8)


@wp.func
def link_hits(chain: Chain, obstacles: Obstacles, o: int, link: int, X_OB: Pose, margin: float) -> bool:
    """Does a sphere of a link, whose body has pose ``X_OB`` in the frame of obstacle o, come within ``margin``?"""
    half = obstacles.half[o]
    grown = obstacles.margin[o]
    for k in range(chain.link_first_pack[link], chain.link_first_pack[link + 1]):
        pack = posed_pack(chain, k, X_OB.R, X_OB.p)
        touch = pack.radius + Lanes(margin)
        slack = pack_slack(pack.x, pack.y, pack.z, half, touch + Lanes(grown))
        if any_positive(slack):
            if fills_box(obstacles, o):
                return True
            for i in range(chain.pack_count[k]):
                if slack[i] > 0.0:
                    nd = obstacle_distance(obstacles, o, wp.vec3(pack.x[i], pack.y[i], pack.z[i]), touch[i])
                    if nd[3] < touch[i]:
                        return True
    return False


@wp.func
def links_hit(chain: Chain, i: int, j: int, X_ji: Pose, margin: float) -> bool:
    """Do spheres of links i and j come within ``margin``? ``X_ji``: pose of link i's body in that of link j."""
    half = chain.link_half_B[j]
    middle = chain.link_middle_B[j]
    for k in range(chain.link_first_pack[i], chain.link_first_pack[i + 1]):
        pack = posed_pack(chain, k, X_ji.R, X_ji.p - middle)
        near = pack_slack(pack.x, pack.y, pack.z, half, pack.radius + Lanes(margin))
        if any_positive(near):
            for s in range(chain.pack_count[k]):
                if near[s] > 0.0:
                    p = wp.vec3(pack.x[s], pack.y[s], pack.z[s]) + middle
                    for m in range(chain.link_first_pack[j], chain.link_first_pack[j + 1]):
                        x = Lanes(p[0]) - chain.pack_x[m]
                        y = Lanes(p[1]) - chain.pack_y[m]
                        z = Lanes(p[2]) - chain.pack_z[m]
                        touch = chain.pack_radius[m] + Lanes(pack.radius[s] + margin)
                        slack = wp.cw_mul(touch, touch) - (wp.cw_mul(x, x) + wp.cw_mul(y, y) + wp.cw_mul(z, z))
                        if any_positive(slack):
                            return True
    return False


@wp.func
def neighbourhood_free(chain: Chain, obstacles: Obstacles, q: Configuration, margin: float, travel: BodyTravel) -> bool:
    """True if every sphere keeps ``margin`` from every obstacle and no pair of links overlaps, here and around.

    ``travel[b]``: no point of body b moves farther than this [m] while the joints below it go as far as is asked
    about. It is added to the margins: to an obstacle, what the body travels; between two links, what the joints
    between them contribute, from the last body that moves both.
    """
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
            keep = margin + travel[body]
            reach = chain.link_radius[link] + keep
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
                                if link_hits(chain, obstacles, o, link, X_OB, keep):
                                    return False
    for k in range(chain.num_pairs):
        i = chain.pair_i[k]
        j = chain.pair_j[k]
        bi = chain.link_body[i]
        bj = chain.link_body[j]
        common = travel[chain.pair_body[k]]
        keep = (travel[bj] - common) + (travel[bi] - common)
        reach = chain.link_radius[i] + chain.link_radius[j] + keep
        if wp.length_sq(center[i] - center[j]) < reach * reach:
            X_ji = relative(R[bi], p[bi], R[bj], p[bj])
            if links_near(chain, i, j, X_ji, keep):
                if links_hit(chain, i, j, X_ji, keep):
                    return False
    return True


@wp.func
def configuration_free(chain: Chain, obstacles: Obstacles, q: Configuration, margin: float) -> bool:
    """True if every sphere keeps ``margin`` from every obstacle and no pair of links overlaps."""
    return neighbourhood_free(chain, obstacles, q, margin, BodyTravel())


@wp.func
def edge_free(
    chain: Chain, obstacles: Obstacles, a: Configuration, b: Configuration, step: float, margin: float
) -> bool:
    """True if samples along the straight edge are free, ``a`` excluded, ``b`` included.

    Between two samples no point of the arm moves farther than ``step`` [m]. Where there is room, one check with wider
    margins proves many samples free at once; near obstacles they are checked one by one.
    """
    whole = BodyTravel()  # over the whole edge
    farthest = float(0.0)
    for j in range(chain.dof):
        moved = whole[chain.joint_parent[j]] + wp.abs(b[j] - a[j]) * chain.joint_reach[j]
        whole[j + 1] = moved
        farthest = wp.max(farthest, moved)
    count = wp.max(int(wp.ceil(farthest / step)), 1)
    if not configuration_free(chain, obstacles, b, margin):
        return False
    if count >= COARSE:  # the middle and the quarters: an edge that hits something is mostly found out here
        for quarter in range(3):
            i = (count * (1 + (quarter + 1) % 3)) / 4
            if not configuration_free(chain, obstacles, between(a, b, float(i) / float(count)), margin):
                return False
    i = int(1)
    run = int(4)  # samples to prove at once: doubled while that works, halved when it does not
    hold = int(0)
    while i < count:
        run = wp.min(run, count - i)
        half = 0.5 * float(run - 1)
        x = between(a, b, (float(i) + half) / float(count))
        if neighbourhood_free(chain, obstacles, x, margin, whole * (half / float(count))):
            i += run
            if hold > 0:
                hold -= 1
            else:
                run *= 2
        else:
            if run == 1:
                return False
            run /= 2
            hold = 2
    return True


@wp.func
def between(a: Configuration, b: Configuration, t: float) -> Configuration:
    return a + t * (b - a)


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
def paths_free(
    chain: Chain,
    obstacles: Obstacles,
    q: wp.array(dtype=float, ndim=3),
    step: float,
    margin: float,
    stride: int,
    first: int,
    free: wp.array(dtype=wp.bool),
):
    """free[b], True before: is every edge of polyline q[b] free? Once one is not, the others are not looked at.

    ``stride`` has no divisor in common with the number of edges: neighbours hit together, so those apart come first.
    """
    row, i = wp.tid()
    b = row + first
    if free[b]:
        e = (i * stride) % (q.shape[1] - 1)
        if not edge_free(chain, obstacles, configuration(q, b, e), configuration(q, b, e + 1), step, margin):
            free[b] = False


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
