"""`ShapeCache` and `MeshCache`: what takes a while to make from a shape is made once for each content."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from edmp.geometry.shapes import Mesh, Shape

S = TypeVar("S", bound=Shape)
T = TypeVar("T")


class ShapeCache(Generic[S, T]):
    """Keeps what ``make`` makes of a shape: as long as the shape lives, and for the latest shapes beyond that.

    Shapes of equal content share an entry, so that a file that is read for every plan is prepared once.

    Args:
        make: called once for each content. What it returns must not hold the shape itself, which would keep it alive.
        size: of a shape.
        most: size of the shapes that are kept though nobody else holds them, all together; but one at least.
    """

    def __init__(self, make: Callable[[S], T], *, size: Callable[[S], int], most: int) -> None:
        self._make, self._size, self._most = make, size, most
        self._made: WeakKeyDictionary[S, T] = WeakKeyDictionary()
        self._latest: OrderedDict[S, int] = OrderedDict()  # with their sizes
        self._total = 0
        self._lock = threading.RLock()
        # A child forked while another thread is in here would wait for it for ever: fork when nobody is.
        os.register_at_fork(
            before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release
        )

    def __call__(self, shape: S) -> T:
        with self._lock:
            made = self._made.get(shape)
            if made is None:
                made = self._made[shape] = self._make(shape)
            if shape in self._latest:
                self._latest.move_to_end(shape)
            else:
                self._latest[shape] = self._size(shape)
                self._total += self._latest[shape]
            while self._total > self._most and len(self._latest) > 1:
                self._total -= self._latest.popitem(last=False)[1]
            return made


class MeshCache(ShapeCache[Mesh, T]):
    """A `ShapeCache` of meshes, of ``max_faces`` faces."""

    def __init__(self, make: Callable[[Mesh], T], *, max_faces: int = 1_000_000) -> None:
        super().__init__(make, size=lambda mesh: len(mesh.faces), most=max_faces)
