"""One step of Gauss-Newton on the control points of a spline, in a kernel: a spline a thread, banded normal equations.

A cubic B-spline has four basis functions at any place: control points farther than three apart share no waypoint, and
the normal equations have a band of 4 dof, as has their Cholesky factor.
"""

# ruff: noqa: UP018 -- float(0.0) is how a Warp kernel declares a variable; 0.0 would be a constant

from edmp.collision.kernels.bands import Bands, band_row, excess
from edmp.collision.kernels.chain import MAX_BODIES, Chain, Configuration, configuration, forward_kinematics
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

LOCAL = wp.constant(4)  # basis functions that are not zero at a place


@wp.struct
class Family:
    """A spline family, sampled: which control points move a waypoint, and the metric of their moves.

    Control points are counted without the first and the last, which stay.
    """

    control_points: int
    waypoints: int
    first: wp.array(dtype=int)  # (waypoints) the first of the four that move a waypoint; -1 or more
    basis: wp.array(dtype=float, ndim=2)  # (waypoints, 4)
    ramp: wp.array(dtype=float)  # (waypoints) share of their slack by which bands are narrowed
    metric: wp.array(dtype=float, ndim=2)  # (control points, 4) row of the metric: [.., 3] is the diagonal


@wp.func
def add_row(
    family: Family,
    normal: wp.array(dtype=float, ndim=3),
    push: wp.array(dtype=float, ndim=2),
    b: int,
    w: int,
    dof: int,
    gradient: Configuration,
    error: float,
):
    """Add what band and waypoint say to the normal equations of spline b: J J^T and J e, spread over control points."""
    width = LOCAL * dof
    for s in range(LOCAL):
        k = family.first[w] + s
        if k >= 0 and k < family.control_points:
            cs = family.basis[w, s]
            for i in range(dof):
                r = k * dof + i
                f = cs * gradient[i]
                push[b, r] += f * error
                for t in range(s + 1):
                    m = family.first[w] + t
                    if m >= 0:
                        g = f * family.basis[w, t]
                        last = dof
                        if t == s:
                            last = i + 1
                        at = m * dof - r + width - 1
                        for j in range(last):
                            normal[b, r, at + j] += g * gradient[j]


@wp.func
def solve_banded(normal: wp.array(dtype=float, ndim=3), x: wp.array(dtype=float, ndim=2), b: int, n: int, width: int):
    """Cholesky in place; x is the right side, then the result.

    The lower triangle: row r, column c is normal[b, r, c - r + width - 1].
    """
    for r in range(n):
        low = wp.max(0, r - width + 1)
        for c in range(low, r + 1):
            s = normal[b, r, c - r + width - 1]
            begin = wp.max(low, c - width + 1)
            at_r = width - 1 - r
            at_c = width - 1 - c
            for m in range(begin, c):
                s -= normal[b, r, m + at_r] * normal[b, c, m + at_c]
            if c == r:
                normal[b, r, width - 1] = wp.sqrt(wp.max(s, 1.0e-12))
            else:
                normal[b, r, c - r + width - 1] = s / normal[b, c, width - 1]
        s = x[b, r]
        for m in range(low, r):
            s -= normal[b, r, m - r + width - 1] * x[b, m]
        x[b, r] = s / normal[b, r, width - 1]
    for back in range(n):
        r = n - 1 - back
        v = x[b, r] / normal[b, r, width - 1]
        x[b, r] = v
        for m in range(wp.max(0, r - width + 1), r):
            x[b, m] = x[b, m] - normal[b, r, m - r + width - 1] * v


@wp.func
def keep(
    chain: Chain,
    bands: Bands,
    family: Family,
    q: wp.array(dtype=float, ndim=3),
    move: wp.array(dtype=float, ndim=3),
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
    max_move: float,
    content: float,
    b: int,
    normal: wp.array(dtype=float, ndim=3),
    push: wp.array(dtype=float, ndim=2),
    held: wp.array(dtype=float, ndim=2),
    interior: wp.array(dtype=float, ndim=3),
) -> bool:
    """Correct the control points of spline b, see `splines_kept`; false, and nothing done, if it is content with them.

    It is where no band, narrowed by ``content`` times its slack, is broken; corrected are bands narrowed by all of it.
    """
    dof = chain.dof
    n = family.control_points * dof
    width = LOCAL * dof
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    for r in range(n):
        held[b, r] = 0.0
    for attempt in range(2):
        for r in range(n):
            push[b, r] = 0.0
            for m in range(width):
                normal[b, r, m] = 0.0
        out = bool(False)
        for w in range(1, family.waypoints - 1):
            x = configuration(q, b, w)
            forward_kinematics(chain, x, R, p)
            for k in range(bands.count):
                row = band_row(chain, bands, k, x, R, p)
                value = row.value
                for j in range(dof):
                    value += row.gradient[j] * move[b, w, j]
                slack = bands.slack[k] * family.ramp[w]
                e = excess(value, bands.lower[k], bands.upper[k], slack)
                if e != 0.0:
                    if excess(value, bands.lower[k], bands.upper[k], content * slack) != 0.0:
                        out = True
                    add_row(family, normal, push, b, w, dof, row.gradient, e)
        if not out:
            return False
        for k in range(family.control_points):
            for i in range(dof):
                r = k * dof + i
                for t in range(LOCAL):
                    if k - t >= 0:
                        normal[b, r, width - 1 - t * dof] += family.metric[k, LOCAL - 1 - t]
        if attempt > 0:
            for r in range(n):
                for m in range(width):
                    c = r - width + 1 + m
                    if c >= 0 and (held[b, r] > 0.0 or held[b, c] > 0.0):
                        normal[b, r, m] = 0.0
                if held[b, r] > 0.0:
                    normal[b, r, width - 1] = 1.0
                    push[b, r] = 0.0
        solve_banded(normal, push, b, n, width)
        blocked = bool(False)
        for k in range(family.control_points):
            for i in range(dof):
                to = interior[b, k, i] - push[b, k * dof + i]
                if to < lower[i] - 1.0e-4 or to > upper[i] + 1.0e-4:
                    held[b, k * dof + i] = 1.0
                    blocked = True
        if not blocked:
            break
    farthest = float(0.0)
    for k in range(family.control_points):
        square = float(0.0)
        for i in range(dof):
            square += push[b, k * dof + i] * push[b, k * dof + i]
        farthest = wp.max(farthest, square)
    scale = wp.min(1.0, max_move / wp.sqrt(wp.max(farthest, 1.0e-12)))
    for k in range(family.control_points):
        for i in range(dof):
            interior[b, k, i] = interior[b, k, i] - scale * push[b, k * dof + i]
    return True


@wp.kernel
def splines_kept(
    chain: Chain,
    bands: Bands,
    family: Family,
    q: wp.array(dtype=float, ndim=3),
    move: wp.array(dtype=float, ndim=3),
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
    max_move: float,
    first: int,
    normal: wp.array(dtype=float, ndim=3),
    push: wp.array(dtype=float, ndim=2),
    held: wp.array(dtype=float, ndim=2),
    interior: wp.array(dtype=float, ndim=3),
):
    """Correct the wanted control points ``interior`` so that they keep the bands, linearised at the waypoints ``q``.

    ``move[b, w]`` is how the wanted control points move waypoint w. ``normal``, ``push`` and ``held`` are room to work
    in. Control points that would pass a joint limit are held where they are wanted, and the rest is solved again.
    """
    b = wp.tid() + first
    keep(chain, bands, family, q, move, lower, upper, max_move, 1.0, b, normal, push, held, interior)


@wp.kernel
def splines_landed(
    chain: Chain,
    bands: Bands,
    family: Family,
    ends: wp.array(dtype=float, ndim=3),
    lower: wp.array(dtype=float),
    upper: wp.array(dtype=float),
    max_move: float,
    content: float,
    iterations: int,
    first: int,
    q: wp.array(dtype=float, ndim=3),
    still: wp.array(dtype=float, ndim=3),
    normal: wp.array(dtype=float, ndim=3),
    push: wp.array(dtype=float, ndim=2),
    held: wp.array(dtype=float, ndim=2),
    interior: wp.array(dtype=float, ndim=3),
):
    """Lead the control points ``interior`` between ``ends`` (2 a spline) into the bands, until it is content with them.

    ``still`` is all zeros; ``q`` is room for the waypoints, the others as in `splines_kept`.
    """
    b = wp.tid() + first
    dof = chain.dof
    for _iteration in range(iterations):
        for w in range(1, family.waypoints - 1):
            for i in range(dof):
                x = float(0.0)
                for s in range(LOCAL):
                    k = family.first[w] + s
                    if k < 0:
                        x += family.basis[w, s] * ends[b, 0, i]
                    elif k >= family.control_points:
                        x += family.basis[w, s] * ends[b, 1, i]
                    else:
                        x += family.basis[w, s] * interior[b, k, i]
                q[b, w, i] = x
        if not keep(chain, bands, family, q, still, lower, upper, max_move, content, b, normal, push, held, interior):
            return
        for k in range(family.control_points):
            for i in range(dof):
                interior[b, k, i] = wp.clamp(interior[b, k, i], lower[i], upper[i])
