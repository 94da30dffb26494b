"""Equations of motion as kernels in double precision: one arm a thread; one source for CPU and CUDA.

Articulated bodies and recursive Newton-Euler in body coordinates (Featherstone, Rigid Body Dynamics Algorithms, 2008,
tables 5.1 and 7.1), with spatial vectors as pairs of an angular and a linear part about the origin of a body, and
spatial inertias as three blocks [[J, H], [H^T, M]].

Friction is -b(v) v with b(v) = viscous + coulomb tanh(v / s) / v. A step in time takes b from the old velocity and v
from the new one, so that friction stops a joint and never turns it round, however long the step.
"""

from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False})

Joints = wp.types.vector(length=24, dtype=wp.float64)

REVOLUTE = wp.constant(0)


@wp.struct
class Tree:
    """The joints, shared by all arms of a batch: joint i moves body i + 1; what is fixed is body 0."""

    dof: int
    parent: wp.array(dtype=int)  # the body that carries the joint
    kind: wp.array(dtype=int)
    R_PJ: wp.array(dtype=wp.mat33d)
    p_PJ: wp.array(dtype=wp.vec3d)
    gravity_0: wp.vec3d  # in the axes of body 0 [m/s^2]
    effort: wp.array(dtype=wp.float64)
    friction_speed: wp.float64


@wp.struct
class Arms:
    """(arms, dof) masses, motors and friction; row r of a batch is arm r modulo the number of arms."""

    count: int
    mass: wp.array2d(dtype=wp.float64)
    moment: wp.array2d(dtype=wp.vec3d)  # m c
    J: wp.array2d(dtype=wp.mat33d)  # about the origin of the body
    armature: wp.array2d(dtype=wp.float64)
    viscous: wp.array2d(dtype=wp.float64)
    coulomb: wp.array2d(dtype=wp.float64)


@wp.struct
class Scratch:
    """(rows, dof + 1) what a thread remembers of each body; R and p: its pose in its parent."""

    R: wp.array2d(dtype=wp.mat33d)
    p: wp.array2d(dtype=wp.vec3d)
    w: wp.array2d(dtype=wp.vec3d)  # velocity, angular and linear
    v: wp.array2d(dtype=wp.vec3d)
    cw: wp.array2d(dtype=wp.vec3d)  # acceleration from velocities
    cv: wp.array2d(dtype=wp.vec3d)
    J: wp.array2d(dtype=wp.mat33d)  # articulated inertia
    H: wp.array2d(dtype=wp.mat33d)
    M: wp.array2d(dtype=wp.mat33d)
    n: wp.array2d(dtype=wp.vec3d)  # bias force, or force: moment and force
    f: wp.array2d(dtype=wp.vec3d)
    Un: wp.array2d(dtype=wp.vec3d)  # force on the articulated body for a unit acceleration of the joint
    Uf: wp.array2d(dtype=wp.vec3d)
    aw: wp.array2d(dtype=wp.vec3d)  # acceleration
    av: wp.array2d(dtype=wp.vec3d)


@wp.func
def joints_of(x: wp.array2d(dtype=wp.float64), row: int) -> Joints:
    """x[row], padded."""
    y = Joints()
    for j in range(x.shape[1]):
        y[j] = x[row, j]
    return y


@wp.func
def friction_damping(tree: Tree, arms: Arms, arm: int, v: Joints) -> Joints:
    """b(v) of each joint [Nm s/rad]: friction is -b(v) v."""
    b = Joints()
    for j in range(tree.dof):
        u = wp.abs(v[j])
        x = u / tree.friction_speed
        slope = wp.float64(1.0) / tree.friction_speed
        if x > wp.float64(1.0e-6):
            slope = wp.tanh(x) / u
        b[j] = arms.viscous[arm, j] + arms.coulomb[arm, j] * slope
    return b


@wp.func
def outwards(tree: Tree, r: int, q: Joints, v: Joints, s: Scratch):
    """Poses and velocities of all bodies, and their accelerations from velocities alone."""
    zero = wp.float64(0.0)
    s.w[r, 0] = wp.vec3d()
    s.v[r, 0] = wp.vec3d()
    for j in range(tree.dof):
        body = j + 1
        parent = tree.parent[j]
        R = tree.R_PJ[j]
        p = tree.p_PJ[j]
        z = wp.vec3d(zero, zero, v[j])
        if tree.kind[j] == REVOLUTE:
            c = wp.cos(q[j])
            t = wp.sin(q[j])
            R = wp.mat33d(
                c * R[0, 0] + t * R[0, 1], c * R[0, 1] - t * R[0, 0], R[0, 2],
                c * R[1, 0] + t * R[1, 1], c * R[1, 1] - t * R[1, 0], R[1, 2],
                c * R[2, 0] + t * R[2, 1], c * R[2, 1] - t * R[2, 0], R[2, 2],
            )  # fmt: skip
        else:
            p = p + wp.vec3d(R[0, 2], R[1, 2], R[2, 2]) * q[j]
        w_P = s.w[r, parent]
        w = w_P * R  # R^T w
        u = (s.v[r, parent] + wp.cross(w_P, p)) * R
        if tree.kind[j] == REVOLUTE:
            w = w + z
            s.cw[r, body] = wp.cross(w, z)
            s.cv[r, body] = wp.cross(u, z)
        else:
            u = u + z
            s.cw[r, body] = wp.vec3d()
            s.cv[r, body] = wp.cross(w, z)
        s.R[r, body] = R
        s.p[r, body] = p
        s.w[r, body] = w
        s.v[r, body] = u


@wp.func
def accelerations(tree: Tree, arms: Arms, arm: int, r: int, tau: Joints, extra: Joints, s: Scratch) -> Joints:
    """Articulated bodies, after `outwards`. ``tau``: what the joints feel; ``extra``: inertia besides the motors'."""
    for j in range(tree.dof):
        body = j + 1
        m = arms.mass[arm, j]
        h = arms.moment[arm, j]
        w = s.w[r, body]
        v = s.v[r, body]
        s.J[r, body] = arms.J[arm, j]
        s.H[r, body] = wp.skew(h)
        s.M[r, body] = wp.mat33d(
            m, wp.float64(0.0), wp.float64(0.0),
            wp.float64(0.0), m, wp.float64(0.0),
            wp.float64(0.0), wp.float64(0.0), m,
        )  # fmt: skip
        f = v * m - wp.cross(h, w)
        s.n[r, body] = wp.cross(w, arms.J[arm, j] * w + wp.cross(h, v)) + wp.cross(v, f)
        s.f[r, body] = wp.cross(w, f)
    d = Joints()
    u = Joints()
    for back in range(tree.dof):
        j = tree.dof - 1 - back
        body = j + 1
        J = s.J[r, body]
        H = s.H[r, body]
        M = s.M[r, body]
        n = s.n[r, body]
        f = s.f[r, body]
        Un = wp.vec3d(J[0, 2], J[1, 2], J[2, 2])
        Uf = wp.vec3d(H[2, 0], H[2, 1], H[2, 2])
        axial = n[2]
        own = Un[2]
        if tree.kind[j] != REVOLUTE:
            Un = wp.vec3d(H[0, 2], H[1, 2], H[2, 2])
            Uf = wp.vec3d(M[0, 2], M[1, 2], M[2, 2])
            axial = f[2]
            own = Uf[2]
        s.Un[r, body] = Un
        s.Uf[r, body] = Uf
        d[j] = own + arms.armature[arm, j] + extra[j]
        u[j] = tau[j] - axial
        parent = tree.parent[j]
        if parent > 0:  # what is fixed needs no inertia
            k = wp.float64(1.0) / d[j]
            J = J - wp.outer(Un, Un) * k
            H = H - wp.outer(Un, Uf) * k
            M = M - wp.outer(Uf, Uf) * k
            cw = s.cw[r, body]
            cv = s.cv[r, body]
            n = n + J * cw + H * cv + Un * (u[j] * k)
            f = f + cw * H + M * cv + Uf * (u[j] * k)
            R = s.R[r, body]
            Rt = wp.transpose(R)
            p = wp.skew(s.p[r, body])
            J = R * J * Rt
            H = R * H * Rt
            M = R * M * Rt
            f = R * f
            pM = p * M
            s.J[r, parent] = s.J[r, parent] + J + p * wp.transpose(H) - (H + pM) * p
            s.H[r, parent] = s.H[r, parent] + H + pM
            s.M[r, parent] = s.M[r, parent] + M
            s.n[r, parent] = s.n[r, parent] + R * n + wp.cross(s.p[r, body], f)
            s.f[r, parent] = s.f[r, parent] + f
    a = Joints()
    s.aw[r, 0] = wp.vec3d()
    s.av[r, 0] = -tree.gravity_0
    for j in range(tree.dof):
        body = j + 1
        parent = tree.parent[j]
        R = s.R[r, body]
        aw_P = s.aw[r, parent]
        aw = aw_P * R + s.cw[r, body]
        av = (s.av[r, parent] + wp.cross(aw_P, s.p[r, body])) * R + s.cv[r, body]
        a[j] = (u[j] - wp.dot(s.Un[r, body], aw) - wp.dot(s.Uf[r, body], av)) / d[j]
        along = wp.vec3d(wp.float64(0.0), wp.float64(0.0), a[j])
        if tree.kind[j] == REVOLUTE:
            aw = aw + along
        else:
            av = av + along
        s.aw[r, body] = aw
        s.av[r, body] = av
    return a


@wp.func
def torques(tree: Tree, arms: Arms, arm: int, r: int, a: Joints, s: Scratch) -> Joints:
    """Recursive Newton-Euler, after `outwards`: for accelerations ``a``, motors included, friction not."""
    s.aw[r, 0] = wp.vec3d()
    s.av[r, 0] = -tree.gravity_0
    for j in range(tree.dof):
        body = j + 1
        parent = tree.parent[j]
        R = s.R[r, body]
        aw_P = s.aw[r, parent]
        aw = aw_P * R + s.cw[r, body]
        av = (s.av[r, parent] + wp.cross(aw_P, s.p[r, body])) * R + s.cv[r, body]
        along = wp.vec3d(wp.float64(0.0), wp.float64(0.0), a[j])
        if tree.kind[j] == REVOLUTE:
            aw = aw + along
        else:
            av = av + along
        s.aw[r, body] = aw
        s.av[r, body] = av
        m = arms.mass[arm, j]
        h = arms.moment[arm, j]
        J = arms.J[arm, j]
        w = s.w[r, body]
        v = s.v[r, body]
        f = v * m - wp.cross(h, w)
        s.n[r, body] = J * aw + wp.cross(h, av) + wp.cross(w, J * w + wp.cross(h, v)) + wp.cross(v, f)
        s.f[r, body] = av * m - wp.cross(h, aw) + wp.cross(w, f)
    tau = Joints()
    for back in range(tree.dof):
        j = tree.dof - 1 - back
        body = j + 1
        n = s.n[r, body]
        f = s.f[r, body]
        axial = n[2]
        if tree.kind[j] != REVOLUTE:
            axial = f[2]
        tau[j] = axial + arms.armature[arm, j] * a[j]
        parent = tree.parent[j]
        if parent > 0:
            R = s.R[r, body]
            f = R * f
            s.n[r, parent] = s.n[r, parent] + R * n + wp.cross(s.p[r, body], f)
            s.f[r, parent] = s.f[r, parent] + f
    return tau


@wp.func
def friction_resisted(tau: Joints, b: Joints, v: Joints, dof: int) -> Joints:
    """What the joints feel of ``tau``: less friction b v."""
    felt = Joints()
    for j in range(dof):
        felt[j] = tau[j] - b[j] * v[j]
    return felt


@wp.func
def stepped(
    tree: Tree, arms: Arms, arm: int, r: int, q: Joints, v: Joints, tau: Joints, dt: wp.float64, s: Scratch
) -> Joints:
    """Velocities a step later, by semi-implicit Euler; friction is implicit, as Drake's damping is."""
    outwards(tree, r, q, v, s)
    b = friction_damping(tree, arms, arm, v)
    a = accelerations(tree, arms, arm, r, friction_resisted(tau, b, v, tree.dof), b * dt, s)
    return v + a * dt


@wp.kernel
def forward_rows(
    tree: Tree,
    arms: Arms,
    s: Scratch,
    q: wp.array2d(dtype=wp.float64),
    v: wp.array2d(dtype=wp.float64),
    tau: wp.array2d(dtype=wp.float64),
    first: int,
    a: wp.array2d(dtype=wp.float64),
):
    r = wp.tid() + first
    arm = r % arms.count
    v_ = joints_of(v, r)
    outwards(tree, r, joints_of(q, r), v_, s)
    felt = friction_resisted(joints_of(tau, r), friction_damping(tree, arms, arm, v_), v_, tree.dof)
    a_ = accelerations(tree, arms, arm, r, felt, Joints(), s)
    for j in range(tree.dof):
        a[r, j] = a_[j]


@wp.kernel
def inverse_rows(
    tree: Tree,
    arms: Arms,
    s: Scratch,
    q: wp.array2d(dtype=wp.float64),
    v: wp.array2d(dtype=wp.float64),
    a: wp.array2d(dtype=wp.float64),
    first: int,
    tau: wp.array2d(dtype=wp.float64),
):
    r = wp.tid() + first
    arm = r % arms.count
    v_ = joints_of(v, r)
    outwards(tree, r, joints_of(q, r), v_, s)
    tau_ = torques(tree, arms, arm, r, joints_of(a, r), s)
    b = friction_damping(tree, arms, arm, v_)
    for j in range(tree.dof):
        tau[r, j] = tau_[j] + b[j] * v_[j]


@wp.kernel
def rollout_rows(
    tree: Tree,
    arms: Arms,
    s: Scratch,
    q0: wp.array2d(dtype=wp.float64),
    v0: wp.array2d(dtype=wp.float64),
    tau: wp.array3d(dtype=wp.float64),
    dt: wp.float64,
    substeps: int,
    first: int,
    q_out: wp.array3d(dtype=wp.float64),
    v_out: wp.array3d(dtype=wp.float64),
):
    """Each row of torques holds for ``substeps`` steps of ``dt``; states after it."""
    r = wp.tid() + first
    arm = r % arms.count
    q = joints_of(q0, r)
    v = joints_of(v0, r)
    for t in range(tau.shape[1]):
        held = Joints()
        for j in range(tree.dof):
            held[j] = tau[r, t, j]
        for _ in range(substeps):
            v = stepped(tree, arms, arm, r, q, v, held, dt, s)
            q = q + v * dt
        for j in range(tree.dof):
            q_out[r, t, j] = q[j]
            v_out[r, t, j] = v[j]
