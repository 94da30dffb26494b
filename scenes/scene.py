"""`Scene`: the named obstacles that an arm must not hit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked, checked_but, numbers
from edmp.errors import InvalidInputError, unknown_name
from edmp.geometry.kinds import KINDS
from edmp.geometry.poses import FARTHEST, finite_vector, pose, rigid
from edmp.geometry.shapes import Shape

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Obstacle:
    """A named shape; ``X_WO`` (4, 4) is the pose of its frame in the world."""

    name: str
    shape: Shape
    X_WO: Array

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InvalidInputError(f"an obstacle needs a non-empty string as its name, got {self.name!r}")
        if type(self.shape) not in KINDS:
            known = ", ".join(kind.__name__ for kind in KINDS)
            more = "; edmp.geometry.kinds.register adds a kind" if isinstance(self.shape, Shape) else ""
            raise InvalidInputError(f"obstacle {self.name!r}: shape must be one of {known}, got {self.shape!r}{more}")
        object.__setattr__(self, "X_WO", rigid(self.X_WO, f"obstacle {self.name!r}: X_WO"))

    @classmethod
    def at(
        cls, name: str, shape: Shape, position: ArrayLike = (0, 0, 0), quaternion: ArrayLike | None = None
    ) -> Obstacle:
        """An obstacle at ``position`` (3,) [m] in the world, turned by a unit ``quaternion`` (x, y, z, w)."""
        try:
            return cls(name, shape, pose(position, quaternion))
        except InvalidInputError as error:
            raise _naming(name, error) from None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Obstacle):
            return NotImplemented
        return self.name == other.name and self.shape == other.shape and np.array_equal(self.X_WO, other.X_WO)

    def __hash__(self) -> int:
        return hash((self.name, self.shape, self.X_WO.tobytes()))


@dataclass(frozen=True, eq=False)
class Region:
    """A named box that is no obstacle: a place that constraints speak of (`edmp.InRegion`).

    Attributes:
        name: of the region.
        size: (3,) full extents [m].
        X_WR: (4, 4) pose of its middle in the world.
    """

    name: str
    size: Array
    X_WR: Array

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InvalidInputError(f"a region needs a non-empty string as its name, got {self.name!r}")
        size = finite_vector(self.size, 3, f"region {self.name!r}: size")
        if not ((size > 0) & (size <= FARTHEST)).all():
            raise InvalidInputError(f"region {self.name!r}: size must be positive [m], got {size.tolist()}")
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "X_WR", rigid(self.X_WR, f"region {self.name!r}: X_WR"))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Region):
            return NotImplemented
        same = np.array_equal(self.size, other.size) and np.array_equal(self.X_WR, other.X_WR)
        return self.name == other.name and same

    def __hash__(self) -> int:
        return hash((self.name, self.size.tobytes(), self.X_WR.tobytes()))


@dataclass(frozen=True)
class Unseen:
    """What a scene that sensors saw takes space for that they did not see.

    Attributes:
        policy: ``"free"`` or ``"occupied"``.
        share: of the space that was looked at, what nobody has seen [1].
    """

    POLICIES: ClassVar[tuple[str, ...]] = ("free", "occupied")

    policy: str
    share: float

    def __post_init__(self) -> None:
        if self.policy not in self.POLICIES:
            raise InvalidInputError(
                f"policy of unseen space must be {' or '.join(map(repr, self.POLICIES))}, got {self.policy!r:.80}"
            )
        share = numbers(self.share)
        if share is None or share.ndim or not 0 <= float(share) <= 1:
            raise InvalidInputError(f"the share of unseen space must be in [0, 1], got {self.share!r}")
        object.__setattr__(self, "share", float(share))

    def __str__(self) -> str:
        return f"{100 * self.share:.1f} % of the space is unseen and taken for {self.policy}"


@dataclass(frozen=True)
class Scene:
    """Obstacles in the world frame, each with a unique name. An empty scene is a valid scene.

    ``scene["table"]`` is an obstacle, ``"table" in scene`` asks for one, ``len`` and iteration go over all.

    Attributes:
        obstacles: what must not be hit.
        regions: named boxes, which may be gone through; each with a unique name, too.
        unseen: what of a map is unknown, and taken for what (`edmp.sensing.Map.scene`); None if the scene is known.
    """

    obstacles: tuple[Obstacle, ...] = ()
    regions: tuple[Region, ...] = ()
    unseen: Unseen | None = None

    def __post_init__(self) -> None:
        try:
            obstacles = tuple(self.obstacles)
        except TypeError:
            raise InvalidInputError(f"a scene holds a sequence of Obstacle, got {self.obstacles!r}") from None
        seen: set[str] = set()
        for obstacle in obstacles:
            if not isinstance(obstacle, Obstacle):
                raise InvalidInputError(f"a scene holds Obstacle, got {obstacle!r}; see Scene.of")
            if obstacle.name in seen:
                raise InvalidInputError(f"two obstacles are named {obstacle.name!r}; names must be unique in a scene")
            seen.add(obstacle.name)
        object.__setattr__(self, "obstacles", obstacles)
        try:
            regions = tuple(self.regions)
        except TypeError:
            raise InvalidInputError(f"regions of a scene are a sequence of Region, got {self.regions!r}") from None
        for k, region in enumerate(regions):
            if not isinstance(region, Region):
                raise InvalidInputError(f"regions of a scene are a sequence of Region, got {region!r}")
            if region.name in [other.name for other in regions[:k]]:
                raise InvalidInputError(f"two regions are named {region.name!r}; names must be unique in a scene")
        object.__setattr__(self, "regions", regions)
        if not isinstance(self.unseen, Unseen | None):
            raise InvalidInputError(f"unseen of a scene is an Unseen, or None, got {self.unseen!r}")

    @classmethod
    def of(cls, obstacles: Mapping[str, Sequence[Any]]) -> Scene:
        """A scene from ``{name: (shape, position)}``.

        Each value is ``(shape, position)``, ``(shape, position, quaternion)`` with position (3,) [m] and unit
        quaternion (x, y, z, w), or ``(shape, X_WO)`` with a (4, 4) pose, for example::

            Scene.of({"table": (Box((1.0, 1.2, 0.05)), (0.5, 0.0, 0.2)), "can": (Cylinder(0.03, 0.14), (0.5, 0, 0.3))})

        Raises:
            InvalidInputError: not such a mapping, or a shape or pose that makes no sense.
        """
        if not isinstance(obstacles, Mapping):
            raise InvalidInputError(
                "Scene.of takes a mapping {name: (shape, position)}, "
                f"got {obstacles!r}; an empty scene is Scene(), a list of Obstacle goes into Scene(...)"
            )
        return cls(tuple(_obstacle(name, value) for name, value in obstacles.items()))

    @checked_but("shape")
    def with_obstacle(
        self,
        name: str,
        shape: Shape,
        position: ArrayLike = (0, 0, 0),
        quaternion: ArrayLike | None = None,
    ) -> Scene:
        """The same scene and one obstacle more, at ``position`` (3,) [m], ``quaternion`` (x, y, z, w)."""
        return replace(self, obstacles=(*self.obstacles, Obstacle.at(name, shape, position, quaternion)))

    @checked
    def with_region(
        self, name: str, size: ArrayLike, position: ArrayLike = (0, 0, 0), quaternion: ArrayLike | None = None
    ) -> Scene:
        """The same scene and one region more, a box of ``size`` (3,) [m] about ``position``, turned by ``quaternion``.

        Constraints speak of it: ``edmp.InRegion(name)``.
        """
        try:
            region = Region(name, np.asarray(size), pose(position, quaternion))
        except InvalidInputError as error:
            message = str(error)
            named = f"region {name!r}" in message
            raise error if named else InvalidInputError(f"region {name!r}: {message}") from None
        return replace(self, regions=(*self.regions, region))

    @checked
    def region(self, name: str) -> Region:
        """The region of that name.

        Raises:
            UnknownNameError: there is none.
        """
        for region in self.regions:
            if region.name == name:
                return region
        raise unknown_name("region", name, [region.name for region in self.regions])

    @checked
    def without(self, *names: str) -> Scene:
        """The same scene with the named obstacles taken away."""
        for name in names:
            self[name]
        return replace(self, obstacles=tuple(o for o in self.obstacles if o.name not in names))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(obstacle.name for obstacle in self.obstacles)

    def __getitem__(self, name: str) -> Obstacle:
        for obstacle in self.obstacles:
            if obstacle.name == name:
                return obstacle
        raise unknown_name("obstacle", name, self.names)

    def __contains__(self, name: object) -> bool:
        return any(obstacle is name or obstacle.name == name for obstacle in self.obstacles)

    def __len__(self) -> int:
        return len(self.obstacles)

    def __iter__(self) -> Iterator[Obstacle]:
        return iter(self.obstacles)


def _obstacle(name: str, value: Sequence[Any]) -> Obstacle:
    if not isinstance(value, Sequence) or not 2 <= len(value) <= 3:
        raise InvalidInputError(
            f"obstacle {name!r}: expected (shape, position), (shape, position, quaternion) or (shape, X_WO), "
            f"got {value!r}"
        )
    given = numbers(value[1])
    if len(value) == 2 and given is not None and given.shape == (4, 4):
        return Obstacle(name, value[0], value[1])
    return Obstacle.at(name, *value)


def _naming(name: str, error: InvalidInputError) -> InvalidInputError:
    """The same error, with the obstacle's name in front unless it is there already."""
    message = str(error)
    return error if f"obstacle {name!r}" in message else InvalidInputError(f"obstacle {name!r}: {message}")
