"""Fused kernel of forward kinematics alone, for costs that are defined in torch."""

from edmp.collision.kernels.chain import MAX_BODIES, Chain, configuration, forward_kinematics
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.kernel
def body_poses(chain: Chain, q: wp.array(dtype=float, ndim=3), first: int, X_WB: wp.array(dtype=wp.mat44, ndim=3)):
    """One configuration a thread: X_WB[row, waypoint, body]."""
    row, w = wp.tid()
    b = row + first
    R = wp.zeros(shape=(MAX_BODIES,), dtype=wp.mat33)
    p = wp.zeros(shape=(MAX_BODIES,), dtype=wp.vec3)
    forward_kinematics(chain, configuration(q, b, w), R, p)
    for body in range(chain.dof + 1):
        X = R[body]
        X_WB[b, w, body] = wp.mat44(
            X[0, 0], X[0, 1], X[0, 2], p[body][0],
            X[1, 0], X[1, 1], X[1, 2], p[body][1],
            X[2, 0], X[2, 1], X[2, 2], p[body][2],
            0.0, 0.0, 0.0, 1.0,
        )  # fmt: skip
