"""A depth camera: a pinhole at a place in the world."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked, checked_but, numbers, shown
from edmp.errors import InvalidInputError
from edmp.geometry.poses import finite_vector, pose, rigid

Array = NDArray[np.float64]

_MOST_PIXELS = 1 << 26


@dataclass(frozen=True, eq=False)
class DepthCamera:
    """A pinhole camera that measures depth along its axis; no distortion: rectify images first.

    The frame C of the camera is the optical one: z looks ahead, x to the right of the image, y down. The centre of
    pixel (row v, column u) looks along ((u - cx) / fx, (v - cy) / fy, 1).

    Attributes:
        intrinsics: (3, 3) camera matrix [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] [pixel].
        X_WC: (4, 4) pose of the camera in the world.
        width, height: of its images [pixel].
        near, far: depths that it measures [m]; what is nearer is no measurement, what is farther counts as seen through
            up to ``far``.
        far_is_free: a depth of +inf says that nothing is within range, as ROS has it (REP 117); without this it says
            nothing, like 0 and NaN.
    """

    intrinsics: Array
    X_WC: Array
    width: int = 640
    height: int = 480
    near: float = 0.1
    far: float = 3.0
    far_is_free: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            size = getattr(self, name)
            if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
                raise InvalidInputError(f"DepthCamera {name} must be a whole number of pixels, got {shown(size)}")
            object.__setattr__(self, name, int(size))
        if self.width * self.height > _MOST_PIXELS:
            raise InvalidInputError(f"DepthCamera width x height must be at most {_MOST_PIXELS} pixels")
        object.__setattr__(self, "intrinsics", _matrix(self.intrinsics))
        object.__setattr__(self, "X_WC", rigid(self.X_WC, "DepthCamera X_WC"))
        for name in ("near", "far"):
            depth = numbers(getattr(self, name))
            if depth is None or depth.ndim or not 0 < float(depth) < math.inf:
                raise InvalidInputError(
                    f"DepthCamera {name} must be a positive depth [m], got {shown(getattr(self, name))}"
                )
            object.__setattr__(self, name, float(depth))
        if self.near >= self.far:
            raise InvalidInputError(f"DepthCamera near must be less than far, got {self.near} and {self.far} m")
        if not isinstance(self.far_is_free, bool | np.bool_):
            raise InvalidInputError(f"DepthCamera far_is_free must be True or False, got {shown(self.far_is_free)}")

    @classmethod
    @checked
    def looking(
        cls,
        eye: ArrayLike,
        target: ArrayLike,
        *,
        width: int = 640,
        height: int = 480,
        angle: float = math.radians(60),
        near: float = 0.1,
        far: float = 3.0,
        far_is_free: bool = False,
    ) -> DepthCamera:
        """A camera at ``eye`` (3,) [m] that looks at ``target`` (3,) [m], the world's z axis up in its image.

        Args:
            eye, target: points in the world.
            width, height: of the image [pixel].
            angle: that the image is wide [rad], less than pi.
            near, far, far_is_free: see the class.

        Raises:
            InvalidInputError: the two points coincide, or a number is out of range.
        """
        if not 0 < angle < math.pi:
            raise InvalidInputError(f"angle must be in (0, pi) rad, got {angle}")
        focal = width / 2 / math.tan(angle / 2)
        matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        return cls(matrix, _looking(eye, target), width, height, near, far, far_is_free)

    @checked_but("X_WC")
    def at(self, X_WC: Array) -> DepthCamera:
        """The same camera elsewhere, as one that an arm carries: ``X_WC`` (4, 4) is its pose in the world."""
        return replace(self, X_WC=X_WC)

    @checked
    def points(self, depth: Array) -> Array:
        """(n, 3) the points in the world [m] of all that was measured within range; see `Map.integrate` for images."""
        z = self.image(depth)
        v, u = np.nonzero((z >= self.near) & (z <= self.far))
        (fx, _, cx), (_, fy, cy) = self.intrinsics[:2]
        deep = z[v, u].astype(np.float64)
        p_C = np.column_stack([(u - cx) / fx * deep, (v - cy) / fy * deep, deep])
        return np.asarray(p_C @ self.X_WC[:3, :3].T + self.X_WC[:3, 3])

    def image(self, depth: ArrayLike) -> NDArray[np.float32]:
        """A depth image (height, width) [m] of this camera in single precision.

        Raises:
            InvalidInputError: another shape, or whole numbers, whose unit nobody knows.
        """
        try:
            given = np.asarray(depth)
        except ValueError:
            raise InvalidInputError(f"depth must be an array (height, width) [m], got {shown(depth)}") from None
        if given.dtype.kind in "iu":
            raise InvalidInputError(
                f"depth must be in metres, as floating-point numbers, got {given.dtype}; if a unit is a millimetre: "
                "depth * 0.001"
            )
        if given.dtype.kind != "f" or given.shape != (self.height, self.width):
            got = f"{given.dtype} {given.shape}" if given.dtype.kind == "f" else shown(depth)
            raise InvalidInputError(
                f"depth must be an array (height, width) = ({self.height}, {self.width}) [m], got {got}"
            )
        return np.ascontiguousarray(given, dtype=np.float32)


def _matrix(given: ArrayLike) -> Array:
    """A camera matrix (3, 3) of a pinhole without skew."""
    K = numbers(given)
    if K is None or K.shape != (3, 3):
        got = shown(given) if K is None else f"shape {K.shape}"
        raise InvalidInputError(
            f"DepthCamera intrinsics must be a matrix (3, 3), [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], got {got}"
        )
    if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise InvalidInputError(f"DepthCamera intrinsics need focal lengths fx, fy > 0 [pixel], got {K.tolist()}")
    if K[0, 1] != 0 or K[1, 0] != 0 or not np.array_equal(K[2], [0, 0, 1]):
        raise InvalidInputError(
            f"DepthCamera intrinsics must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], without skew, got {K.tolist()}"
        )
    return K


def _looking(eye: ArrayLike, target: ArrayLike) -> Array:
    start, end = finite_vector(eye, 3, "eye"), finite_vector(target, 3, "target")
    ahead = end - start
    if (distance := float(np.linalg.norm(ahead))) < 1e-9:
        raise InvalidInputError(f"eye and target must be different points, got {start.tolist()} twice")
    z = ahead / distance
    up = np.array([0.0, 0.0, 1.0]) if abs(z[2]) < 0.999 else np.array([1.0, 0.0, 0.0])
    x = np.cross(z, up)
    x /= np.linalg.norm(x)
    return pose(start, np.column_stack([x, np.cross(z, x), z]))
