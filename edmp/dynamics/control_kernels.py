# ruff: noqa: UP018, RUF046 (in a kernel int(0) makes a variable, a bare number makes a constant)
"""Closed loops as kernels: an arm and its controller, from the first command to the last in one launch."""

from edmp.dynamics.kernels import (
    REVOLUTE,
    Arms,
    Joints,
    Scratch,
    Tree,
    friction_damping,
    joints_of,
    outwards,
    stepped,
    torques,
)
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False})

IMPEDANCE = wp.constant(1)
DAMPING_STEPS = wp.constant(5)
"""The damping of impedance control is computed anew so often: meanwhile an arm moves by a hundredth of a radian."""


@wp.struct
class Controllers:
    """(controllers, ...) of row r is controller r modulo their number; fields as of `edmp.dynamics.Controller`."""

    count: int
    control: wp.array(dtype=int)
    bandwidth: wp.array(dtype=wp.float64)
    stiffness: wp.array2d(dtype=wp.float64)  # [Nm/rad]
    damping: wp.array(dtype=wp.float64)
    lag: wp.array(dtype=int)  # rows of the reference


@wp.struct
class Reference:
    """(motions, T, dof) what is commanded; row r of a batch follows motion r modulo their number."""

    q: wp.array3d(dtype=wp.float64)
    v: wp.array3d(dtype=wp.float64)
    a: wp.array3d(dtype=wp.float64)


@wp.struct
class Loops:
    """(rows, dof) what closed loops remember from one command to the next; the arms are at q, and move at v."""

    q: wp.array2d(dtype=wp.float64)
    v: wp.array2d(dtype=wp.float64)
    q_before: wp.array2d(dtype=wp.float64)  # commanded
    v_before: wp.array2d(dtype=wp.float64)
    a_before: wp.array2d(dtype=wp.float64)
    integral: wp.array2d(dtype=wp.float64)
    count: wp.array(dtype=int)  # steps so far


@wp.func
def keep(x: wp.array2d(dtype=wp.float64), r: int, y: Joints):
    for j in range(x.shape[1]):
        x[r, j] = y[j]


@wp.func
def row_of(x: wp.array3d(dtype=wp.float64), i: int, t: int) -> Joints:
    y = Joints()
    for j in range(x.shape[2]):
        y[j] = x[i, t, j]
    return y


@wp.func
def mass_matrix(tree: Tree, arms: Arms, arm: int, r: int, s: Scratch, A: wp.array3d(dtype=wp.float64)):
    """A[r] = M(q), after `outwards`: composite bodies (Featherstone 2008, table 6.2), motors included."""
    for j in range(tree.dof):
        m = arms.mass[arm, j]
        s.J[r, j + 1] = arms.J[arm, j]
        s.H[r, j + 1] = wp.skew(arms.moment[arm, j])
        s.M[r, j + 1] = wp.mat33d(
            m, wp.float64(0.0), wp.float64(0.0),
            wp.float64(0.0), m, wp.float64(0.0),
            wp.float64(0.0), wp.float64(0.0), m,
        )  # fmt: skip
        for i in range(tree.dof):
            A[r, i, j] = wp.float64(0.0)
    for back in range(tree.dof):
        j = tree.dof - 1 - back
        J = s.J[r, j + 1]
        H = s.H[r, j + 1]
        M = s.M[r, j + 1]
        n = wp.vec3d(J[0, 2], J[1, 2], J[2, 2])
        f = wp.vec3d(H[2, 0], H[2, 1], H[2, 2])
        own = n[2]
        if tree.kind[j] != REVOLUTE:
            n = wp.vec3d(H[0, 2], H[1, 2], H[2, 2])
            f = wp.vec3d(M[0, 2], M[1, 2], M[2, 2])
            own = f[2]
        A[r, j, j] = own + arms.armature[arm, j]
        body = j + 1
        while tree.parent[body - 1] > 0:
            f = s.R[r, body] * f
            n = s.R[r, body] * n + wp.cross(s.p[r, body], f)
            body = tree.parent[body - 1]
            i = body - 1
            axial = n[2]
            if tree.kind[i] != REVOLUTE:
                axial = f[2]
            A[r, i, j] = axial
            A[r, j, i] = axial
        parent = tree.parent[j]
        if parent > 0:
            R = s.R[r, j + 1]
            Rt = wp.transpose(R)
            p = wp.skew(s.p[r, j + 1])
            J = R * J * Rt
            H = R * H * Rt
            M = R * M * Rt
            pM = p * M
            s.J[r, parent] = s.J[r, parent] + J + p * wp.transpose(H) - (H + pM) * p
            s.H[r, parent] = s.H[r, parent] + H + pM
            s.M[r, parent] = s.M[r, parent] + M


@wp.func
def square_root(dof: int, r: int, A: wp.array3d(dtype=wp.float64), V: wp.array3d(dtype=wp.float64)):
    """A[r], positive definite, becomes its square root; by Jacobi's rotations, gathered in V[r]."""
    for i in range(dof):
        for j in range(dof):
            V[r, i, j] = wp.float64(0.0)
        V[r, i, i] = wp.float64(1.0)
    sweep = int(0)
    off = wp.float64(1.0)
    while sweep < 12 and off > wp.float64(1.0e-12):
        sweep += 1
        off = wp.float64(0.0)
        for i in range(dof):
            for j in range(i + 1, dof):
                x = A[r, i, j]
                off += x * x / (A[r, i, i] * A[r, j, j])
                if wp.abs(x) > wp.float64(1.0e-30):
                    theta = (A[r, j, j] - A[r, i, i]) / (wp.float64(2.0) * x)
                    t = wp.sign(theta) / (wp.abs(theta) + wp.sqrt(theta * theta + wp.float64(1.0)))
                    c = wp.float64(1.0) / wp.sqrt(t * t + wp.float64(1.0))
                    s = t * c
                    for k in range(dof):
                        a = A[r, k, i]
                        b = A[r, k, j]
                        A[r, k, i] = c * a - s * b
                        A[r, k, j] = s * a + c * b
                    for k in range(dof):
                        a = A[r, i, k]
                        b = A[r, j, k]
                        A[r, i, k] = c * a - s * b
                        A[r, j, k] = s * a + c * b
                        a = V[r, k, i]
                        b = V[r, k, j]
                        V[r, k, i] = c * a - s * b
                        V[r, k, j] = s * a + c * b
    root = Joints()
    for k in range(dof):
        root[k] = wp.sqrt(A[r, k, k])
    for i in range(dof):
        for j in range(dof):
            total = wp.float64(0.0)
            for k in range(dof):
                total += V[r, i, k] * root[k] * V[r, j, k]
            A[r, i, j] = total


@wp.func
def modal_damping(
    tree: Tree,
    arms: Arms,
    arm: int,
    r: int,
    c: Controllers,
    k: int,
    s: Scratch,
    A: wp.array3d(dtype=wp.float64),
    V: wp.array3d(dtype=wp.float64),
):
    """A[r] = D = 2 z K^1/2 (K^-1/2 M K^-1/2)^1/2 K^1/2, after `outwards`.

    The same as 2 z Q sqrt(L) Q^T with M = Q Q^T and K = Q L Q^T (Albu-Schaeffer et al. 2003): the geometric mean of
    M and K.
    """
    mass_matrix(tree, arms, arm, r, s, A)
    for i in range(tree.dof):
        for j in range(tree.dof):
            A[r, i, j] = A[r, i, j] / wp.sqrt(c.stiffness[k, i] * c.stiffness[k, j])
    square_root(tree.dof, r, A, V)
    for i in range(tree.dof):
        for j in range(tree.dof):
            A[r, i, j] = wp.float64(2.0) * c.damping[k] * A[r, i, j] * wp.sqrt(c.stiffness[k, i] * c.stiffness[k, j])


@wp.kernel
def track_rows(
    tree: Tree,
    arms: Arms,
    s: Scratch,
    model: Arms,
    c: Controllers,
    reference: Reference,
    loops: Loops,
    dt: wp.float64,
    substeps: int,
    every: int,
    A: wp.array3d(dtype=wp.float64),
    V: wp.array3d(dtype=wp.float64),
    first: int,
    q_out: wp.array3d(dtype=wp.float64),
    v_out: wp.array3d(dtype=wp.float64),
    tau_out: wp.array3d(dtype=wp.float64),
):
    """States after every ``every`` rows of the reference, and the mean of the torques meanwhile; ``loops`` moves on.

    As `DrakeArm` does it: between two rows position and velocity go from the last to the next, the acceleration is that
    at the end of the step.
    """
    r = wp.tid() + first
    arm = r % arms.count
    known = r % model.count
    k = r % c.count
    m = r % reference.q.shape[0]
    q = joints_of(loops.q, r)
    v = joints_of(loops.v, r)
    q_before = joints_of(loops.q_before, r)
    v_before = joints_of(loops.v_before, r)
    a_before = joints_of(loops.a_before, r)
    integral = joints_of(loops.integral, r)
    total = Joints()
    count = int(loops.count[r])
    w = c.bandwidth[k]
    for t in range(reference.q.shape[1]):
        q_after = q_before
        v_after = Joints()
        a_after = Joints()
        due = t - c.lag[k]
        if due >= 0:
            q_after = row_of(reference.q, m, due)
            v_after = row_of(reference.v, m, due)
            a_after = row_of(reference.a, m, due)
        for sub in range(substeps):
            share = wp.float64(sub) / wp.float64(substeps)
            end = wp.float64(sub + 1) / wp.float64(substeps)
            e = q_before + (q_after - q_before) * share - q
            de = v_before + (v_after - v_before) * share - v
            wanted = a_before + (a_after - a_before) * end
            if c.control[k] != IMPEDANCE:
                wanted = wanted + (de + e * w + integral * (w * w / wp.float64(3.0))) * (wp.float64(3.0) * w)
            outwards(tree, r, q, v, s)
            tau = torques(tree, model, known, r, wanted, s)
            b = friction_damping(tree, model, known, v)
            if c.control[k] == IMPEDANCE and count % DAMPING_STEPS == 0:
                modal_damping(tree, model, known, r, c, k, s, A, V)
            count += 1
            for j in range(tree.dof):
                x = tau[j] + b[j] * v[j]
                if c.control[k] == IMPEDANCE:
                    x += c.stiffness[k, j] * e[j]
                    for i in range(tree.dof):
                        x += A[r, j, i] * de[i]
                elif wp.abs(x) < tree.effort[j]:  # what is cut off must not be summed up
                    integral[j] = integral[j] + e[j] * dt
                tau[j] = wp.clamp(x, -tree.effort[j], tree.effort[j])
            v = stepped(tree, arms, arm, r, q, v, tau, dt, s)
            q = q + v * dt
            total = total + tau
        q_before = q_after
        v_before = v_after
        a_before = a_after
        if (t + 1) % every == 0:
            i = t / every
            for j in range(tree.dof):
                q_out[r, i, j] = q[j]
                v_out[r, i, j] = v[j]
                tau_out[r, i, j] = total[j] / wp.float64(every * substeps)
            total = Joints()
    keep(loops.q, r, q)
    keep(loops.v, r, v)
    keep(loops.q_before, r, q_before)
    keep(loops.v_before, r, v_before)
    keep(loops.a_before, r, a_before)
    keep(loops.integral, r, integral)
    loops.count[r] = count


@wp.kernel
def excite_rows(
    tree: Tree,
    arms: Arms,
    s: Scratch,
    model: Arms,
    q0: wp.array2d(dtype=wp.float64),
    v0: wp.array2d(dtype=wp.float64),
    excitation: wp.array3d(dtype=wp.float64),
    spring: wp.array(dtype=wp.float64),
    damper: wp.array(dtype=wp.float64),
    dt: wp.float64,
    substeps: int,
    first: int,
    q_out: wp.array3d(dtype=wp.float64),
    v_out: wp.array3d(dtype=wp.float64),
    tau_out: wp.array3d(dtype=wp.float64),
):
    """States after each row of the excitation, and the mean of the whole torques meanwhile."""
    r = wp.tid() + first
    arm = r % arms.count
    known = r % model.count
    start = joints_of(q0, r)
    q = start
    v = joints_of(v0, r)
    for t in range(excitation.shape[1]):
        total = Joints()
        for _ in range(substeps):
            outwards(tree, r, q, Joints(), s)
            tau = torques(tree, model, known, r, Joints(), s)  # gravity, as the model has it
            for j in range(tree.dof):
                x = tau[j] + excitation[r, t, j] + spring[j] * (start[j] - q[j]) - damper[j] * v[j]
                tau[j] = wp.clamp(x, -tree.effort[j], tree.effort[j])
            v = stepped(tree, arms, arm, r, q, v, tau, dt, s)
            q = q + v * dt
            total = total + tau
        for j in range(tree.dof):
            q_out[r, t, j] = q[j]
            v_out[r, t, j] = v[j]
            tau_out[r, t, j] = total[j] / wp.float64(substeps)
