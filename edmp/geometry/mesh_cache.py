"""`MeshCache`: what takes a while to make from a mesh is made once for each content."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from edmp.geometry.shapes import Mesh

T = TypeVar("T")


class MeshCache(Generic[T]):
    """Keeps what ``make`` makes of a mesh: as long as the mesh lives, and for the latest meshes beyond that.

    Meshes of equal content share an entry, so that a file that is read for every plan is prepared once.

    Args:
        make: called once for each content. What it returns must not hold the mesh itself, which would keep it alive.
        max_faces: faces of the meshes that are kept though nobody else holds them, all together.
    """

    def __init__(self, make: Callable[[Mesh], T], *, max_faces: int = 1_000_000) -> None:
        self._make, self._max_faces = make, max_faces
        self._made: WeakKeyDictionary[Mesh, T] = WeakKeyDictionary()
        self._latest: OrderedDict[Mesh, None] = OrderedDict()
        self._lock = threading.RLock()
        # A child forked while another thread is in here would wait for it for ever: fork when nobody is.
        os.register_at_fork(
            before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release
        )

    def __call__(self, mesh: Mesh) -> T:
        with self._lock:
            made = self._made.get(mesh)
            if made is None:
                made = self._made[mesh] = self._make(mesh)
            self._latest[mesh] = None
            self._latest.move_to_end(mesh)
            while sum(len(kept.faces) for kept in self._latest) > self._max_faces and len(self._latest) > 1:
                self._latest.popitem(last=False)
            return made
