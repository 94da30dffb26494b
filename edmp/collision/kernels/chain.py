"""What every kernel shares: the packed robot, forward kinematics, balls against boxes, J^T f.

One source for CPU and CUDA (NVIDIA Warp); on CUDA it has never run.
Gradients are derived by hand: a cost pushes with forces at points of the
arm; forces and moments are summed per body, then one backward sweep projects them on each joint axis (J^T f).
"""

from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

MAX_BODIES = wp.constant(25)
MAX_LINKS = wp.constant(64)
LANES = wp.constant(8)
Configuration = wp.types.vector(length=24, dtype=wp.float32)
Lanes = wp.types.vector(length=8, dtype=wp.float32)  # eight numbers side by side: one SIMD register on a CPU

REVOLUTE = wp.constant(0)


@wp.struct
class Chain:
    """The robot, a tree of joints: joint i moves body i + 1. Links are ordered by body; lengths in [m]."""

    dof: int
    joint_parent: wp.array(dtype=int)  # the body that carries the joint; its number is at most that of the joint
    joint_kind: wp.array(dtype=int)
    R_PJ: wp.array(dtype=wp.mat33)
    p_PJ: wp.array(dtype=wp.vec3)
    joint_reach: wp.array(dtype=float)  # how far a point of the arm moves at most for one unit of the joint
    R_W0: wp.mat33
    p_W0: wp.vec3
    num_links: int
    link_body: wp.array(dtype=int)
    link_center_B: wp.array(dtype=wp.vec3)
    link_radius: wp.array(dtype=float)
    link_middle_B: wp.array(dtype=wp.vec3)  # centre and half extents of the box around the link's spheres, body axes
    link_half_B: wp.array(dtype=wp.vec3)
    link_first_sphere: wp.array(dtype=int)
    sphere_B: wp.array(dtype=wp.vec3)
    sphere_radius: wp.array(dtype=float)
    link_first_pack: wp.array(dtype=int)  # the same spheres eight by eight, for SIMD; packs do not cross links
    pack_count: wp.array(dtype=int)
    pack_x: wp.array(dtype=Lanes)
    pack_y: wp.array(dtype=Lanes)
    pack_z: wp.array(dtype=Lanes)
    pack_radius: wp.array(dtype=Lanes)
    num_pairs: int
    pair_i: wp.array(dtype=int)
    pair_j: wp.array(dtype=int)
    pair_body: wp.array(dtype=int)  # the last body that moves both links of the pair
    link_box_p_BX: wp.array(dtype=wp.vec3)
    link_box_R_BX: wp.array(dtype=wp.mat33)
    link_box_half: wp.array(dtype=wp.vec3)


@wp.struct
class Pose:
    R: wp.mat33
    p: wp.vec3


@wp.func
def relative(R_i: wp.mat33, p_i: wp.vec3, R_j: wp.mat33, p_j: wp.vec3) -> Pose:
    """Pose of one frame in another, X_ji, from the poses of both in the world."""
    X = Pose()
    X.R = wp.transpose(R_j) * R_i
    X.p = (p_i - p_j) * R_j
    return X


@wp.func
def next_body(chain: Chain, i: int, X: Pose, q: float) -> Pose:
    """Pose of the body moved by joint i, from that of its parent."""
    R_PJ = chain.R_PJ[i]
    p_PJ = chain.p_PJ[i]
    R_WJ = X.R * R_PJ
    Y = Pose()
    Y.p = X.p + X.R * p_PJ
    if chain.joint_kind[i] == REVOLUTE:
        c = wp.cos(q)
        s = wp.sin(q)
        Y.R = wp.mat33(
            c * R_WJ[0, 0] + s * R_WJ[0, 1], c * R_WJ[0, 1] - s * R_WJ[0, 0], R_WJ[0, 2],
            c * R_WJ[1, 0] + s * R_WJ[1, 1], c * R_WJ[1, 1] - s * R_WJ[1, 0], R_WJ[1, 2],
            c * R_WJ[2, 0] + s * R_WJ[2, 1], c * R_WJ[2, 1] - s * R_WJ[2, 0], R_WJ[2, 2],
        )  # fmt: skip
    else:
        Y.R = R_WJ
        Y.p = Y.p + wp.vec3(R_WJ[0, 2], R_WJ[1, 2], R_WJ[2, 2]) * q
    return Y


@wp.func
def configuration(q: wp.array(dtype=float, ndim=3), b: int, w: int) -> Configuration:
    """q[b, w], padded."""
    x = Configuration()
    for j in range(q.shape[2]):
        x[j] = q[b, w, j]
    return x


@wp.func
def forward_kinematics(chain: Chain, q: Configuration, R: wp.array(dtype=wp.mat33), p: wp.array(dtype=wp.vec3)):
    """Fill ``R`` and ``p`` with the world poses of all bodies."""
    X = Pose()
    X.R = chain.R_W0
    X.p = chain.p_W0
    R[0] = X.R
    p[0] = X.p
    for i in range(chain.dof):
        parent = chain.joint_parent[i]
        if parent != i:  # a branch begins; else X is the pose of the parent already
            X.R = R[parent]
            X.p = p[parent]
        X = next_body(chain, i, X, q[i])
        R[i + 1] = X.R
        p[i + 1] = X.p


@wp.func
def project(
    chain: Chain,
    R: wp.array(dtype=wp.mat33),
    p: wp.array(dtype=wp.vec3),
    force: wp.array(dtype=wp.vec3),
    moment: wp.array(dtype=wp.vec3),
    b: int,
    w: int,
    gradient: wp.array(dtype=float, ndim=3),
):
    """gradient[b, w] = J^T f: forces on bodies, and moments about the world origin, projected on the joint axes.

    Where a branch begins, ``force`` and ``moment`` of the body that carries it are given what lies on it.
    """
    f_sum = wp.vec3()
    m_sum = wp.vec3()
    for back in range(chain.dof):
        body = chain.dof - back
        f_sum += force[body]
        m_sum += moment[body]
        R_WB = R[body]
        axis = wp.vec3(R_WB[0, 2], R_WB[1, 2], R_WB[2, 2])
        if chain.joint_kind[body - 1] == REVOLUTE:
            gradient[b, w, body - 1] = wp.dot(axis, m_sum - wp.cross(p[body], f_sum))
        else:
            gradient[b, w, body - 1] = wp.dot(axis, f_sum)
        parent = chain.joint_parent[body - 1]
        if parent != body - 1:
            force[parent] += f_sum
            moment[parent] += m_sum
            f_sum = wp.vec3()
            m_sum = wp.vec3()


@wp.func
def any_positive(v: Lanes) -> bool:
    """Is one of the eight positive? A tree of sums, because `wp.max` of a vector goes lane by lane."""
    t = v + wp.abs(v)
    return ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7])) > 0.0


@wp.func
def may_touch(half: wp.vec3, p: wp.vec3, reach: float) -> bool:
    """Is a box of half extents ``half`` about the origin within ``reach`` of a point? The second cull for links."""
    a = wp.max(wp.abs(p[0]) - half[0], 0.0)
    b = wp.max(wp.abs(p[1]) - half[1], 0.0)
    c = wp.max(wp.abs(p[2]) - half[2], 0.0)
    return a * a + b * b + c * c <= reach * reach


@wp.struct
class Pack:
    """Centres and radii of eight spheres in some frame."""

    x: Lanes
    y: Lanes
    z: Lanes
    radius: Lanes


@wp.func
def posed_pack(chain: Chain, k: int, R: wp.mat33, p: wp.vec3) -> Pack:
    """Pack k of spheres where the pose (R, p) of their body puts them."""
    x = chain.pack_x[k]
    y = chain.pack_y[k]
    z = chain.pack_z[k]
    pack = Pack()
    pack.x = x * R[0, 0] + y * R[0, 1] + z * R[0, 2] + Lanes(p[0])
    pack.y = x * R[1, 0] + y * R[1, 1] + z * R[1, 2] + Lanes(p[1])
    pack.z = x * R[2, 0] + y * R[2, 1] + z * R[2, 2] + Lanes(p[2])
    pack.radius = chain.pack_radius[k]
    return pack


@wp.func
def link_centers(
    chain: Chain, R: wp.array(dtype=wp.mat33), p: wp.array(dtype=wp.vec3), center: wp.array(dtype=wp.vec3)
):
    """Fill ``center`` with the centres of the links' bounding balls in the world."""
    for link in range(chain.num_links):
        body = chain.link_body[link]
        center[link] = R[body] * chain.link_center_B[link] + p[body]


@wp.func
def links_near(chain: Chain, i: int, j: int, X_ji: Pose, margin: float) -> bool:
    """False only if links i and j are proven to be ``margin`` apart; ``X_ji``: pose of i's body in that of j."""
    R = X_ji.R
    c_i = R * chain.link_center_B[i] + X_ji.p - chain.link_middle_B[j]
    if not may_touch(chain.link_half_B[j], c_i, chain.link_radius[i] + margin):
        return False
    c_j = (chain.link_center_B[j] - X_ji.p) * R - chain.link_middle_B[i]
    return may_touch(chain.link_half_B[i], c_j, chain.link_radius[j] + margin)


@wp.func
def pack_slack(x: Lanes, y: Lanes, z: Lanes, half: wp.vec3, touch: Lanes) -> Lanes:
    """Positive where a ball of radius ``touch`` at (x, y, z) meets a box of half extents ``half`` about the origin."""
    zero = Lanes(0.0)
    a = wp.max(wp.abs(x) - Lanes(half[0]), zero)
    b = wp.max(wp.abs(y) - Lanes(half[1]), zero)
    c = wp.max(wp.abs(z) - Lanes(half[2]), zero)
    return wp.cw_mul(touch, touch) - (wp.cw_mul(a, a) + wp.cw_mul(b, b) + wp.cw_mul(c, c))
