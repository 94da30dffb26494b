"""Bands in kernels: value and gradient of each at a configuration, how far it is out, the nearest configuration inside.

What a band is says `edmp.constraints.Band`. Gradients are derived by hand: each value changes with a force at the
frame's origin and a moment on its body, which J^T takes to the joints.
"""

# ruff: noqa: UP018, RUF046 -- float(0.0) and int(0) declare variables in a Warp kernel; bare numbers would be constants

from edmp.collision.kernels.chain import MAX_BODIES, REVOLUTE, Chain, Configuration, configuration, forward_kinematics
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

MAX_BANDS = wp.constant(24)

ANGLE = wp.constant(0)
COORDINATE = wp.constant(1)
OFFSET = wp.constant(2)
ROTATION = wp.constant(3)
GAZE = wp.constant(4)
JOINT = wp.constant(5)


@wp.struct
class Bands:
    """Bands by column, as `edmp.constraints.Band` has them; ``slack``: how far inside a band is far enough."""

    count: int
    kind: wp.array(dtype=int)
    lower: wp.array(dtype=float)
    upper: wp.array(dtype=float)
    slack: wp.array(dtype=float)
    body: wp.array(dtype=int)
    R_BF: wp.array(dtype=wp.mat33)
    p_BF: wp.array(dtype=wp.vec3)
    axis_B: wp.array(dtype=wp.vec3)
    direction: wp.array(dtype=wp.vec3)
    point: wp.array(dtype=wp.vec3)
    R_WT: wp.array(dtype=wp.mat33)
    index: wp.array(dtype=int)


@wp.struct
class Lever:
    """A value, and its derivative by the motion of a body: a force at a point of it, and a moment on it."""

    value: float
    force: wp.vec3
    moment: wp.vec3


@wp.func
def perpendicular(a: wp.vec3) -> wp.vec3:
    """A unit vector across a unit vector."""
    b = wp.vec3(1.0, 0.0, 0.0)
    if wp.abs(a[0]) > 0.7:
        b = wp.vec3(0.0, 1.0, 0.0)
    return wp.normalize(wp.cross(a, b))


@wp.func
def angle_lever(a: wp.vec3, b: wp.vec3) -> Lever:
    """Angle between unit vectors, ``a`` fixed to the body: turning by w changes it by -w . (a x b) / |a x b|."""
    out = Lever()
    n = wp.cross(a, b)
    s = wp.length(n)
    c = wp.dot(a, b)
    out.value = wp.atan2(s, c)
    if s > 1.0e-5:
        out.moment = -n / s
    elif c < 0.0:  # opposite: any way back is as good as any other
        out.moment = -perpendicular(a)
    return out


@wp.func
def rotation_vector(R: wp.mat33) -> wp.vec3:
    """Axis times angle. Near a half turn, where the skew part vanishes, the axis is read off the symmetric part."""
    skew = 0.5 * wp.vec3(R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1])
    s = wp.length(skew)
    c = 0.5 * (R[0, 0] + R[1, 1] + R[2, 2] - 1.0)
    angle = wp.atan2(s, c)
    if s > 1.0e-2:
        return skew * (angle / s)
    if c > 0.0:
        return skew * (1.0 + s * s / 6.0)
    # columns of R + R^T - (trace R - 1) I = 2 (1 - cos) n n^T
    x = wp.vec3(2.0 * (R[0, 0] - c), R[1, 0] + R[0, 1], R[2, 0] + R[0, 2])
    y = wp.vec3(R[1, 0] + R[0, 1], 2.0 * (R[1, 1] - c), R[2, 1] + R[1, 2])
    z = wp.vec3(R[2, 0] + R[0, 2], R[2, 1] + R[1, 2], 2.0 * (R[2, 2] - c))
    axis = x
    if wp.length_sq(y) > wp.length_sq(axis):
        axis = y
    if wp.length_sq(z) > wp.length_sq(axis):
        axis = z
    axis = wp.normalize(axis)
    if wp.dot(axis, skew) < 0.0:
        axis = -axis
    return axis * angle


@wp.func
def rotation_lever(R_WF: wp.mat33, R_WT: wp.mat33, k: int) -> Lever:
    """Component k of the rotation vector r of R_TF; dr = Jl(r)^-1 R_WT^T w, with SO(3)'s left Jacobian Jl."""
    out = Lever()
    r = rotation_vector(wp.transpose(R_WT) * R_WF)
    out.value = r[k]
    e = wp.vec3()
    e[k] = 1.0
    t = wp.length(r)
    c = float(1.0 / 12.0)
    if t > 1.0e-2:
        c = 1.0 / (t * t) - (1.0 + wp.cos(t)) / (2.0 * t * wp.max(wp.sin(t), 1.0e-4))
    rxe = wp.cross(r, e)
    out.moment = R_WT * (e + 0.5 * rxe + c * wp.cross(r, rxe))  # Jl^-T e
    return out


@wp.func
def gaze_lever(a: wp.vec3, p: wp.vec3, point: wp.vec3) -> Lever:
    """Angle between a body's unit vector ``a`` and the way from its point ``p`` to a fixed ``point``."""
    v = point - p
    d = wp.max(wp.length(v), 1.0e-6)
    u = v / d
    out = angle_lever(a, u)
    s = wp.sin(out.value)
    if s > 1.0e-5:
        out.force = (a - u * wp.dot(a, u)) / (d * s)
    return out


@wp.func
def offset_lever(v: wp.vec3, direction: wp.vec3) -> Lever:
    out = Lever()
    across = v - direction * wp.dot(v, direction)
    d = wp.length(across)
    out.value = d
    if d > 1.0e-9:
        out.force = across / d
    return out


@wp.struct
class Row:
    """Value of a band, and its gradient in the joints."""

    value: float
    gradient: Configuration


@wp.func
def band_row(
    chain: Chain, bands: Bands, k: int, q: Configuration, R: wp.array(dtype=wp.mat33), p: wp.array(dtype=wp.vec3)
) -> Row:
    """Band k at ``q``, whose bodies have the poses ``R``, ``p``."""
    row = Row()
    row.gradient = Configuration()
    kind = bands.kind[k]
    if kind == JOINT:
        j = bands.index[k]
        row.value = q[j]
        row.gradient[j] = 1.0
        return row
    body = bands.body[k]
    R_WB = R[body]
    p_WF = p[body] + R_WB * bands.p_BF[k]
    lever = Lever()
    if kind == ANGLE:
        lever = angle_lever(R_WB * bands.axis_B[k], bands.direction[k])
    elif kind == COORDINATE:
        lever.value = wp.dot(bands.direction[k], p_WF - bands.point[k])
        lever.force = bands.direction[k]
    elif kind == OFFSET:
        lever = offset_lever(p_WF - bands.point[k], bands.direction[k])
    elif kind == ROTATION:
        lever = rotation_lever(R_WB * bands.R_BF[k], bands.R_WT[k], bands.index[k])
    else:
        lever = gaze_lever(R_WB * bands.axis_B[k], p_WF, bands.point[k])
    row.value = lever.value
    while body > 0:
        j = body - 1
        X = R[body]
        axis = wp.vec3(X[0, 2], X[1, 2], X[2, 2])
        if chain.joint_kind[j] == REVOLUTE:
            row.gradient[j] = wp.dot(axis, lever.moment + wp.cross(p_WF - p[body], lever.force))
        else:
            row.gradient[j] = wp.dot(axis, lever.force)
        body = chain.joint_parent[j]
    return row


@wp.func
def excess(value: float, lower: float, upper: float, slack: float) -> float:
    """How far a value is above (positive) or below (negative) a band that is narrowed by ``slack``; 0 within."""
    if value > upper - slack:
        return value - (upper - slack)
    if value < lower + slack:
        return value - (lower + slack)
    return 0.0


@wp.func
def worst_excess(chain: Chain, bands: Bands, q: Configuration, share: float) -> float:
    """Largest excess of a band narrowed by ``share`` of its slack, in slacks; at most 0 where all hold."""
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    forward_kinematics(chain, q, R, p)
    worst = float(0.0)
    for k in range(bands.count):
        row = band_row(chain, bands, k, q, R, p)
        slack = bands.slack[k]
        out = wp.abs(excess(row.value, bands.lower[k], bands.upper[k], share * slack)) / slack
        worst = wp.max(worst, out)
    return worst


@wp.func
def solve_cholesky(A: wp.array(dtype=float), b: wp.array(dtype=float), n: int):
    """Solve A x = b in place for a positive definite A (n, n), stored by rows of `MAX_BANDS`."""
    for i in range(n):
        for j in range(i + 1):
            s = A[i * MAX_BANDS + j]
            for m in range(j):
                s -= A[i * MAX_BANDS + m] * A[j * MAX_BANDS + m]
            if i == j:
                A[i * MAX_BANDS + i] = wp.sqrt(wp.max(s, 1.0e-12))
            else:
                A[i * MAX_BANDS + j] = s / A[j * MAX_BANDS + j]
    for i in range(n):
        s = b[i]
        for m in range(i):
            s -= A[i * MAX_BANDS + m] * b[m]
        b[i] = s / A[i * MAX_BANDS + i]
    for back in range(n):
        i = n - 1 - back
        s = b[i]
        for m in range(i + 1, n):
            s -= A[m * MAX_BANDS + i] * b[m]
        b[i] = s / A[i * MAX_BANDS + i]


@wp.struct
class Projected:
    """A configuration, and whether it is inside all bands."""

    q: Configuration
    holds: bool


@wp.func
def projected(
    chain: Chain,
    bands: Bands,
    q: Configuration,
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
    max_iterations: int,
) -> Projected:
    """A configuration near ``q`` inside all bands and joint limits: Gauss-Newton with steps of least length.

    It aims at bands narrowed by their slack, and is content with half of that. Joints that a step would push through
    their limits are held, and the step is solved again without them.
    """
    dof = chain.dof
    out = Projected()
    x = q
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    J = wp.zeros(shape=(MAX_BANDS,), dtype=Configuration)
    e = wp.zeros(shape=(MAX_BANDS,), dtype=float)
    y = wp.zeros(shape=(MAX_BANDS,), dtype=float)
    A = wp.zeros(shape=(576,), dtype=float)  # MAX_BANDS squared
    for _iteration in range(max_iterations):
        forward_kinematics(chain, x, R, p)
        m = int(0)
        inside = bool(True)
        for k in range(bands.count):
            row = band_row(chain, bands, k, x, R, p)
            slack = bands.slack[k]
            if excess(row.value, bands.lower[k], bands.upper[k], 0.5 * slack) != 0.0:
                inside = False
            d = excess(row.value, bands.lower[k], bands.upper[k], slack)
            if d != 0.0:
                J[m] = row.gradient
                e[m] = d
                m += 1
        if inside:
            out.q = x
            out.holds = True
            return out
        free = Configuration()
        for j in range(dof):
            free[j] = 1.0
        step = Configuration()
        for _again in range(2):
            for a in range(m):
                Ja = wp.cw_mul(J[a], free)
                for b in range(a + 1):
                    A[a * MAX_BANDS + b] = wp.dot(Ja, J[b])
                A[a * MAX_BANDS + a] = A[a * MAX_BANDS + a] * 1.0001 + 1.0e-6
                y[a] = e[a]
            solve_cholesky(A, y, m)
            step = Configuration()
            for a in range(m):
                step -= J[a] * y[a]
            step = wp.cw_mul(step, free)
            blocked = bool(False)
            for j in range(dof):
                if (x[j] <= lower[j] and step[j] < 0.0) or (x[j] >= upper[j] and step[j] > 0.0):
                    free[j] = 0.0
                    blocked = True
            if not blocked:
                break
        step = wp.cw_mul(step, free)
        length = wp.length(step)
        step = step * wp.min(1.0, 0.5 / wp.max(length, 1.0e-9))
        for j in range(dof):
            x[j] = wp.clamp(x[j] + step[j], lower[j], upper[j])
    out.q = x
    out.holds = False
    return out


@wp.kernel
def band_rows(
    chain: Chain,
    bands: Bands,
    q: wp.array(dtype=float, ndim=3),
    first: int,
    value: wp.array(dtype=float, ndim=3),
    gradient: wp.array(dtype=float, ndim=4),
):
    """value[b, w, k] of band k at q[b, w], and its gradient[b, w, k] in the joints."""
    i, w = wp.tid()
    b = i + first
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    x = configuration(q, b, w)
    forward_kinematics(chain, x, R, p)
    for k in range(bands.count):
        row = band_row(chain, bands, k, x, R, p)
        value[b, w, k] = row.value
        for j in range(chain.dof):
            gradient[b, w, k, j] = row.gradient[j]


@wp.kernel
def rows_excess(
    chain: Chain,
    bands: Bands,
    q: wp.array(dtype=float, ndim=3),
    share: wp.array(dtype=float),
    first: int,
    out: wp.array(dtype=float, ndim=2),
):
    """out[b, w]: `worst_excess` of q[b, w], the bands narrowed by share[w] of their slack."""
    i, w = wp.tid()
    b = i + first
    out[b, w] = worst_excess(chain, bands, configuration(q, b, w), share[w])


@wp.kernel
def rows_projected(
    chain: Chain,
    bands: Bands,
    q: wp.array(dtype=float, ndim=3),
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
    max_iterations: int,
    first: int,
    out: wp.array(dtype=float, ndim=3),
    holds: wp.array(dtype=wp.bool, ndim=2),
):
    """out[b, w]: q[b, w] `projected`; where that fails, holds[b, w] is false."""
    i, w = wp.tid()
    b = i + first
    found = projected(chain, bands, configuration(q, b, w), lower, upper, max_iterations)
    for j in range(chain.dof):
        out[b, w, j] = found.q[j]
    holds[b, w] = found.holds
