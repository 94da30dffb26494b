"""A map of what depth cameras have seen: log-odds of every cell of a grid, and the scene that they make."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked, shown
from edmp.collision.launch import launch_rows
from edmp.collision.world import checked_device
from edmp.errors import EdmpWarning, InvalidInputError
from edmp.geometry.poses import finite_vector, pose, rigid
from edmp.geometry.sensed import Voxels
from edmp.geometry.shapes import Shape
from edmp.ranges import Range, check_fields
from edmp.robots import load_robot
from edmp.robots.configuration import configuration
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene, Unseen
from edmp.sensing import kernels
from edmp.sensing.camera import DepthCamera
from edmp.sensing.grow import grown
from edmp.sensing.pieces import Piece, arm_pieces, packed, shape_piece
from edmp.warp_start import wp

Array = NDArray[np.float64]
Cells = NDArray[np.bool_]

MOST_CELLS = 1 << 25
"""Of a map: it takes 16 bytes for each."""
_TOO_NEAR = 0.5
"""Share of an image that is nearer than the camera measures, above which the camera is likely to be in something."""
_FAR_OFF = 100.0
"""Half of an image that is farther is likely to be in millimetres [m]."""


@dataclass(frozen=True)
class MapSettings:
    """Settings of `Map`. With these defaults what is seen once is there at once, and four frames make it disappear.

    Attributes:
        hit: log-odds that a cell gains in a frame in which rays end in it [1].
        miss: log-odds that it loses in a frame in which it was seen through as a whole [1].
        least, most: ends that log-odds are kept between [1]; a cell is occupied if they are positive.
        seen_through: share of the rays that cross a cell which must have measured something, for a miss [1].
        robot_padding: measured points this near to the robot are taken for its own [m]: what calibration, the encoders
            and the camera's noise leave open together.
        body_margin: cells that the robot's own body, grown by this, touches are known to be free: it is there [m].
    """

    hit: float = 1.5
    miss: float = 0.5
    least: float = -1.0
    most: float = 2.0
    seen_through: float = 0.5
    robot_padding: float = 0.02
    body_margin: float = 0.005

    def __post_init__(self) -> None:
        positive = Range(0, above=True)
        check_fields(self, {**dict.fromkeys(("hit", "miss", "most"), positive), "least": Range(-1e3, 0)})
        check_fields(self, {**dict.fromkeys(("robot_padding", "body_margin"), Range(0)), "seen_through": Range(0, 1)})
        if self.hit + self.least <= 0:
            raise InvalidInputError(
                f"hit + least must be positive, or what appears is not there at once; got {self.hit} and {self.least}"
            )

    @property
    def frames_to_vanish(self) -> int:
        """Frames in which a cell must be seen through before it is free, however often something was seen there."""
        return int(np.ceil(self.most / self.miss))


class Map:
    """Which space is occupied, which is free, and which nobody has seen.

    A cell is free if, in some frame, every ray that crosses it went all the way through: not one ray of many. What was
    seen of a cell only in part stays as it was. So a free cell holds nothing that is wider than the distance between
    two rays, as far as the camera's depths are right; `scene` grows what was seen by a padding for what they are not.

    Args:
        bounds: lower and upper corner (2, 3) of the grid in the world [m], along the world's axes.
        resolution: edge of a cell [m].
        robot: the arm that may be in the images, by name or as it is; `integrate` may say another.
        settings: see `MapSettings`.
        device: of the kernels, ``"cpu"`` or ``"cuda"``.

    Raises:
        InvalidInputError: corners that span nothing, or more than 2^25 cells.
    """

    @checked
    def __init__(
        self,
        bounds: ArrayLike,
        resolution: float = 0.02,
        *,
        robot: Robot | str | None = None,
        settings: MapSettings | None = None,
        device: str = "cpu",
    ) -> None:
        self.resolution = float(resolution)
        self.shape, self.corner = _grid(bounds, self.resolution)
        self.settings = settings or MapSettings()
        self._robot = load_robot(robot) if isinstance(robot, str) else robot
        device = self._device = checked_device(device)
        self._log_odds = wp.full(self.shape, np.nan, dtype=float, device=device)
        self._hit, self._arm, self._body = (wp.zeros(self.shape, dtype=wp.int32, device=device) for _ in range(3))
        blocks = tuple(-(-cells // kernels.BLOCK) for cells in self.shape)
        self._blocks, self._hit_blocks = (wp.zeros(blocks, dtype=wp.int32, device=device) for _ in range(2))
        self.frames = 0

    # -- looking ------------------------------------------------------------------------------------------------------

    @checked
    def integrate(
        self, depth: ArrayLike, camera: DepthCamera, q: ArrayLike | None = None, *, robot: Robot | str | None = None
    ) -> None:
        """Take in one image.

        Depths of 0, NaN, less than ``camera.near``, and +inf unless the camera says otherwise, say nothing: nothing is
        there for them, and nothing is seen through. Points of the robot, and of what it holds, are left out: all within
        ``robot_padding`` of it, to the next cell.

        Args:
            depth: (height, width) along the camera's axis [m].
            camera: that took it, where it was.
            q: (dof,) where the robot was then [rad or m], or {joint: value}; None if none is in sight.
            robot: if another than the map's, as one that holds something.

        Raises:
            InvalidInputError: an image of another size, or in whole numbers; a configuration without a robot.
        """
        image = camera.image(depth)
        arm = self._arm_at(robot, q)
        self.frames += 1
        if arm:
            self._mark([piece.grown(self.settings.robot_padding) for piece in arm], self._arm, self.frames)
            self._mark([piece.grown(self.settings.body_margin) for piece in arm], self._body, 1)
        view, settings, device = self._view(camera), self.settings, self._device
        evidence = kernels.Evidence()
        for name in ("hit", "miss", "least", "most"):
            setattr(evidence, name, getattr(settings, name))
        evidence.share = settings.seen_through
        measured: wp.array = wp.array(image, dtype=float, device=device, copy=False)
        rays = wp.empty(image.shape, dtype=float, device=device)
        launch_rows(
            kernels.mark_points,
            camera.height,
            (camera.width,),
            [view, measured, self._arm, self.frames],
            [rays, self._hit, self._hit_blocks],
            device,
        )
        levels, offsets = _pyramid(rays, device)
        shape = self._blocks.shape
        inputs = [view, evidence, camera.width, camera.height, levels, offsets]
        launch_rows(kernels.judge_blocks, shape[0], shape[1:], inputs, [self._blocks], device)
        launch_rows(
            kernels.update_cells,
            shape[0],
            shape[1:],
            [view, evidence, rays, levels, offsets, self._blocks, self._hit, self._hit_blocks, self.frames],
            [self._log_odds],
            device,
        )
        self._look_where_the_camera_is(image, camera)

    @checked
    def release(self, shape: Shape, X_WO: Array | None = None, *, margin: float = 0.0) -> None:
        """Say that space is free: the cells that the convex hull of a shape, grown by ``margin`` [m], touches.

        For an object that was taken away, or that is known better than the camera sees it; what is seen there later
        counts again.

        Args:
            shape: in its own frame.
            X_WO: (4, 4) pose of that in the world; None for the identity.
            margin: [m].
        """
        self._log_odds.assign(np.where(self._touched(shape, X_WO, margin), self.settings.least, self.log_odds))

    def forget(self) -> None:
        """Nobody has seen anything."""
        self._log_odds.fill_(np.nan)
        self._body.zero_()

    # -- what it says -------------------------------------------------------------------------------------------------

    @property
    def log_odds(self) -> NDArray[np.float32]:
        """(nx, ny, nz) of each cell: positive where it is occupied, NaN where nobody has seen it."""
        return np.asarray(self._log_odds.numpy())

    @property
    def occupied(self) -> Cells:
        """(nx, ny, nz) cells in which something was seen."""
        return self.log_odds > 0

    @property
    def unseen(self) -> Cells:
        """(nx, ny, nz) cells that nobody has seen, neither through nor something in, and in which no robot has been."""
        return np.isnan(self.log_odds) & ~self._been()

    @property
    def X_WV(self) -> Array:
        """(4, 4) pose of the grid's corner in the world."""
        return pose(self.corner)

    @checked
    def scene(
        self,
        *,
        unseen: str,
        padding: float = 0.0,
        base_scene: Scene | None = None,
        released: Sequence[str | Obstacle] = (),
        margin: float = 0.0,
        name: str = "map",
    ) -> Scene:
        """What is occupied as one obstacle, `Voxels`, beside those of ``base_scene``.

        Args:
            unseen: what space that nobody has seen is: ``"free"`` or ``"occupied"``. As "occupied", so is all outside
                the bounds: their outermost cells are a wall. The scene, what is planned in it and its file say the
                policy, and the share of space that nobody saw.
            padding: what is occupied grows by this at least [m], but unseen space not into where the robot has been.
            base_scene: obstacles that are known.
            released: obstacles of ``base_scene`` by name, or others, whose own cells, those that their convex hull
                grown by ``margin`` touches, are free: such as what is to be grasped.
            margin: see ``released`` [m].
            name: of the obstacle.

        Raises:
            InvalidInputError: no such policy.
            UnknownNameError: ``released`` names no obstacle of ``base_scene``.
        """
        if unseen not in Unseen.POLICIES:
            raise InvalidInputError(f'unseen must be "free" or "occupied", got {unseen!r}')
        if padding < 0 or margin < 0:
            raise InvalidInputError(f"padding and margin must be at least 0 m, got {padding} and {margin}")
        base = base_scene or Scene()
        nobody_saw = self.unseen
        taken = grown(self.occupied, padding, self.resolution)
        if unseen == "occupied":
            taken |= (grown(nobody_saw, padding, self.resolution) | _wall(self.shape)) & ~self._been()
        for one in released:
            obstacle = base[one] if isinstance(one, str) else one
            taken &= ~self._touched(obstacle.shape, obstacle.X_WO, margin)
        obstacles = base.obstacles
        if taken.any():
            obstacles = (*obstacles, Obstacle(name, Voxels(taken, self.resolution), self.X_WV))
        return Scene(obstacles, base.regions, Unseen(unseen, float(nobody_saw.mean())))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _been(self) -> Cells:
        return np.asarray(self._body.numpy() != 0)

    def _touched(self, shape: Shape, X_WO: Array | None, margin: float) -> Cells:
        if not 0 <= margin < np.inf:
            raise InvalidInputError(f"margin must be at least 0 m, got {margin}")
        X = np.eye(4) if X_WO is None else rigid(X_WO, "X_WO")
        touched = wp.zeros(self.shape, dtype=wp.int32, device=self._device)
        self._mark([shape_piece(shape, X).grown(margin)], touched, 1)
        return np.asarray(touched.numpy() != 0)

    def _arm_at(self, robot: Robot | str | None, q: Any) -> list[Piece]:
        if q is None:
            if robot is not None:
                raise InvalidInputError("a robot in sight needs q, the configuration that it was in")
            return []
        arm = load_robot(robot) if isinstance(robot, str) else robot or self._robot
        if arm is None:
            raise InvalidInputError("q needs a robot: Map(..., robot=) or integrate(..., robot=)")
        return arm_pieces(arm, configuration(arm, q, "q"))

    def _mark(self, pieces: list[Piece], cells: Any, mark: int) -> None:
        planes, begins, columns = packed(pieces, self.corner, self.resolution, self.shape)
        if len(columns):
            inputs: list[Any] = [
                wp.array(planes, dtype=wp.vec4, device=self._device),
                wp.array(begins, dtype=wp.int32, device=self._device),
                wp.array(columns, dtype=wp.vec3i, device=self._device),
            ]
            launch_rows(
                kernels.mark_inside,
                len(columns),
                (),
                [*inputs, self.resolution, mark],
                [cells],
                self._device,
                grain=256,
            )

    def _view(self, camera: DepthCamera) -> Any:
        view, R_CV, K = kernels.View(), camera.X_WC[:3, :3].T, camera.intrinsics
        view.R_CV = wp.mat33(*R_CV.ravel())
        view.p_VC = wp.vec3(*(camera.X_WC[:3, 3] - self.corner))
        view.half = wp.vec3(*(np.abs(R_CV).sum(axis=1) * self.resolution / 2))
        view.focal, view.centre = wp.vec2(K[0, 0], K[1, 1]), wp.vec2(K[0, 2], K[1, 2])
        view.near, view.far, view.edge = camera.near, camera.far, self.resolution
        view.beyond = camera.far if camera.far_is_free else 0.0
        return view

    def _look_where_the_camera_is(self, image: NDArray[np.float32], camera: DepthCamera) -> None:
        near = float(((image > 0) & (image < camera.near)).mean())
        measured = image[np.isfinite(image) & (image > 0)]
        if not measured.size and not np.isposinf(image).any():
            warnings.warn("Map: no pixel of the image says anything: all are 0 or NaN", EdmpWarning, stacklevel=4)
        elif measured.size and float(np.median(measured)) > _FAR_OFF:
            warnings.warn(
                f"Map: half of the image is farther than {float(np.median(measured)):.4g} m; is depth in millimetres?",
                EdmpWarning,
                stacklevel=4,
            )
        cell = np.floor((camera.X_WC[:3, 3] - self.corner) / self.resolution).astype(int)
        inside = bool(((cell >= 0) & (cell < self.shape)).all()) and self.log_odds[tuple(cell)] > 0
        at = ", ".join(f"{value:.3g}" for value in camera.X_WC[:3, 3])
        if inside:
            warnings.warn(
                f"Map: the camera at ({at}) is inside an obstacle, as the map has it; is its pose right?",
                EdmpWarning,
                stacklevel=4,
            )
        elif near > _TOO_NEAR:
            warnings.warn(
                f"Map: {100 * near:.0f} % of the image of the camera at ({at}) is nearer than the {camera.near:g} m "
                "that it measures; is it inside an obstacle, or covered?",
                EdmpWarning,
                stacklevel=4,
            )


def _grid(bounds: ArrayLike, resolution: float) -> tuple[tuple[int, int, int], Array]:
    """Cells along each axis, and the lower corner."""
    try:
        low, high = np.asarray(bounds, dtype=object)
    except (TypeError, ValueError):
        raise InvalidInputError(f"bounds must be a lower and an upper corner [m], got {shown(bounds)}") from None
    low, high = finite_vector(low, 3, "bounds, lower corner"), finite_vector(high, 3, "bounds, upper corner")
    if not (high > low).all():
        raise InvalidInputError(
            f"bounds: the upper corner must be above the lower one along each axis, got {low.tolist()}, {high.tolist()}"
        )
    if not 0 < resolution < np.inf:
        raise InvalidInputError(f"resolution must be positive [m], got {resolution}")
    cells = np.maximum(np.ceil((high - low) / resolution - 1e-6), 1)
    if cells.prod() > MOST_CELLS:
        raise InvalidInputError(
            f"a map of {' x '.join(f'{n:.0f}' for n in cells)} cells is too large: at most {MOST_CELLS} "
            f"({16 * MOST_CELLS >> 20} MiB); take a coarser resolution or smaller bounds"
        )
    nx, ny, nz = (int(n) for n in cells)
    return (nx, ny, nz), low


def _pyramid(rays: Any, device: str) -> tuple[Any, Any]:
    """All levels of the pyramid of rays, one after the other, and where each begins, its rows and its columns."""
    sizes: list[tuple[int, int]] = []
    rows, columns = rays.shape
    while not sizes or rows > 1 or columns > 1:
        rows, columns = (rows + 1) // 2, (columns + 1) // 2
        sizes.append((rows, columns))
    begins = np.cumsum([0, *(rows * columns for rows, columns in sizes)])
    levels = wp.empty(int(begins[-1]), dtype=wp.vec4, device=device)
    parts = [levels[int(a) : int(b)].reshape(size) for a, b, size in zip(begins, begins[1:], sizes, strict=False)]
    for k, part in enumerate(parts):
        source, kernel = (parts[k - 1], kernels.coarser_level) if k else (rays, kernels.finest_level)
        launch_rows(kernel, sizes[k][0], (sizes[k][1],), [source], [part], device, grain=64)
    offsets = np.array([(begin, *size) for begin, size in zip(begins, sizes, strict=False)], np.int32)
    return levels, wp.array(offsets, dtype=wp.vec3i, device=device)


def _wall(shape: tuple[int, int, int]) -> Cells:
    """The outermost cells."""
    wall = np.ones(shape, dtype=np.bool_)
    wall[tuple(slice(1, -1) for _ in shape)] = False
    return wall
