"""A small depth-buffer renderer in numpy: no screen, no GPU, no order problems.

Opaque surfaces, then translucent layers, over a ground grid with a soft shadow; outlines where one thing ends and the
next begins, as in a technical drawing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edmp.viz.camera import Camera
from edmp.viz.shot import Body, Layer, Shot
from edmp.viz.surfaces import Surface, cross

Array = NDArray[np.float64]

LIGHT = np.array([-0.35, -0.5, 0.8]) / np.linalg.norm([-0.35, -0.5, 0.8])
"""Towards the sun, in the world."""

BACKGROUND = 1.0
OUTLINE = np.array([0.13, 0.15, 0.19], dtype=np.float32)
IN_FRONT = 1.003
"""A translucent thing must be nearer by this factor, so that one that coincides with an opaque one does not flicker."""
SMALL = (2, 4, 8, 16)
"""Triangles that fit into a square of so many pixels are drawn together; larger ones one by one."""


class Buffer:
    """What each pixel shows.

    Attributes:
        near: (h, w) one through its depth [1/m]; 0 where there is nothing.
        thing: (h, w) number of the surface, -1 for none; less for surfaces without outline.
        color: (h, w, 3) shaded.
    """

    def __init__(self, camera: Camera) -> None:
        width, height = camera.size
        self.near = np.zeros((height, width), dtype=np.float32)
        self.thing = np.full((height, width), -1, dtype=np.int32)
        self.color = np.zeros((height, width, 3), dtype=np.float32)

    def cut(self, window: tuple[slice, slice]) -> Buffer:
        """A copy of a part."""
        part = Buffer.__new__(Buffer)
        part.near, part.thing = self.near[window].copy(), self.thing[window].copy()
        part.color = self.color[window].copy()
        return part


class NumpyRenderer:
    """The renderer of this module; it needs nothing and works everywhere.

    Args:
        samples: rays a pixel, each way.
    """

    name = "numpy"

    def __init__(self, samples: int = 2) -> None:
        self.samples = samples

    def open(self, shot: Shot) -> NumpyView:
        return NumpyView(shot, self.samples)


class NumpyView:
    """A shot whose still part is drawn once; whatever moves is drawn over it, frame by frame."""

    def __init__(self, shot: Shot, samples: int = 2) -> None:
        self.samples, self._shot = samples, shot
        self._fine = shot.camera.enlarged(samples)
        self._buffer = Buffer(self._fine)
        draw(self._buffer, self._fine, shot.still)
        self._layers = [(layer.opacity, *_layer_buffer(self._fine, layer.surfaces)) for layer in shot.layers]
        casters = [*shot.still, *(surface for layer in shot.layers for surface in layer.surfaces)]
        self._ground = Ground(shot.camera, shot.ground, casters)
        self._background = self._ground.image()
        n = samples
        bare = [self._buffer.thing[i::n, j::n] == -1 for i in range(n) for j in range(n)]
        self._bare = (np.sum(bare, axis=0) / n**2).astype(np.float32)[..., None]
        self._image = self._composed(self._buffer, self._background, (slice(None), slice(None)))

    def frame(self, X_WB: Array, bodies: Sequence[Body] | None = None) -> Array:
        """See `View.frame`."""
        moving = self._moved(X_WB, bodies)
        if not moving:
            return self._image.copy()
        background = self._ground.image([surface for _, surface in moving])
        image = self._image + (background - self._background) * self._bare
        n = self.samples
        rows, columns = _cropped(self._shot.camera, [surface for _, surface in moving])[0]
        window = slice(rows.start * n, rows.stop * n), slice(columns.start * n, columns.stop * n)
        buffer, veils = self._with(moving, window)
        image[rows, columns] = self._composed(buffer, background[rows, columns], window, veils)
        return np.clip(image, 0, 1)

    def composed_with(self, shaded: Array, X_WB: Array, bodies: Sequence[Body] | None = None) -> Array:
        """The frame with what is opaque as another renderer drew it: ``shaded`` (h, w, 3), on white.

        The floor, its shadows and what is translucent are drawn here: renderers draw the latter badly or not at all.
        """
        moving = self._moved(X_WB, bodies)
        everything = slice(0, self._fine.size[1]), slice(0, self._fine.size[0])
        buffer, veils = self._with(moving, everything)
        n = self.samples
        buffer.color = shaded.astype(np.float32).repeat(n, axis=0).repeat(n, axis=1)
        background = self._ground.image([surface for _, surface in moving])
        return self._composed(buffer, background, everything, veils, outlines=0.0)

    def _moved(self, X_WB: Array, bodies: Sequence[Body] | None) -> list[tuple[float, Surface]]:
        """Opacity and surface in the world of each body."""
        bodies = self._shot.bodies if bodies is None else bodies
        return [(body.opacity, body.surface.at(X)) for body, X in zip(bodies, X_WB, strict=True)]

    def _with(self, moving: Sequence[tuple[float, Surface]], window: tuple[slice, slice]) -> tuple[Buffer, list[Layer]]:
        """The part of the picture in ``window`` with what moves and is opaque; and what is translucent."""
        buffer = self._buffer.cut(window)
        opaque = [surface for opacity, surface in moving if opacity == 1.0]
        draw(buffer, self._fine.part(window), opaque, first_thing=len(self._shot.still))
        levels = sorted({opacity for opacity, _ in moving if opacity < 1.0}, reverse=True)
        return buffer, [Layer([surface for opacity, surface in moving if opacity == level], level) for level in levels]

    def close(self) -> None:
        """Nothing to free."""

    def _composed(
        self,
        buffer: Buffer,
        background: Array,
        window: tuple[slice, slice],
        veils: Sequence[Layer] = (),
        *,
        outlines: float = 0.75,
    ) -> Array:
        """Opaque things over the background, then outlines, then the layers; averaged over the rays of each pixel."""
        n = self.samples
        image = background.astype(np.float32).repeat(n, axis=0).repeat(n, axis=1)
        hit = buffer.thing != -1
        image[hit] = buffer.color[hit]
        _outline(image, buffer.thing, outlines)
        moving = [(veil.opacity, *_layer_buffer(self._fine, veil.surfaces)) for veil in veils]
        for opacity, there, front in [*self._layers, *moving]:
            both, in_window, in_layer = _overlap(window, there, image.shape)
            if not both:
                continue
            seen, near = image[in_window], buffer.near[in_window]
            thing = np.where(front.near[in_layer] > near * IN_FRONT, front.thing[in_layer], -1)
            shown = thing != -1
            seen[shown] += opacity * (front.color[in_layer][shown] - seen[shown])
            _outline(seen, thing, opacity)
        rays = [image[i::n, j::n] for i in range(n) for j in range(n)]
        return np.clip(sum(rays[1:], rays[0]) / n**2, 0, 1)


def depth_of(camera: Camera, surfaces: Sequence[Surface]) -> NDArray[np.float32]:
    """(h, w) one through the depth of what is nearest [1/m], 0 where there is nothing."""
    buffer = Buffer(camera)
    draw(buffer, camera, surfaces)
    return buffer.near


def _overlap(
    window: tuple[slice, slice], there: tuple[slice, slice], shape: tuple[int, ...]
) -> tuple[bool, tuple[slice, slice], tuple[slice, slice]]:
    """Whether two windows of the picture share pixels, and these as seen from each of them."""
    ours, theirs = [], []
    for axis in (0, 1):
        begin = window[axis].start or 0
        low = max(begin, there[axis].start)
        high = min(begin + shape[axis], there[axis].stop)
        ours.append(slice(low - begin, high - begin))
        theirs.append(slice(low - there[axis].start, high - there[axis].start))
    both = all(part.stop > part.start for part in ours)
    return both, (ours[0], ours[1]), (theirs[0], theirs[1])


def _layer_buffer(camera: Camera, surfaces: Sequence[Surface]) -> tuple[tuple[slice, slice], Buffer]:
    window, part = _cropped(camera, surfaces)
    buffer = Buffer(part)
    draw(buffer, part, surfaces)
    return window, buffer


def _cropped(camera: Camera, surfaces: Sequence[Surface]) -> tuple[tuple[slice, slice], Camera]:
    """The rows and columns of the picture that the surfaces can touch, and the camera of that part alone."""
    pixels, _ = camera.project(np.concatenate([surface.vertices for surface in surfaces]))
    limit = np.array(camera.size)
    low = np.clip(np.floor(pixels.min(axis=0)).astype(int) - 2, 0, limit - 1)
    high = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + 3, low + 1, limit)
    window = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    return window, camera.part(window)


# --- triangles -------------------------------------------------------------------------------------------------------


def draw(buffer: Buffer, camera: Camera, surfaces: Sequence[Surface], *, first_thing: int = 0) -> None:
    """Draw surfaces where they are nearer than what is there; the k-th counts as thing ``first_thing + k``."""
    for k, surface in enumerate(surfaces):
        corners = surface.vertices[surface.faces]
        flat = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        visible = np.flatnonzero(np.einsum("fi,fi->f", flat, camera.eye - corners[:, 0]) > 0)
        if not len(visible):
            continue
        window, part = _cropped(camera, [surface])
        projected, depth = part.project(surface.vertices)
        pixels = projected[surface.faces[visible]]
        near = np.ascontiguousarray(buffer.near[window])
        face = _fill(near, pixels, (1.0 - surface.recede) / depth[surface.faces[visible]])
        rows, columns = np.nonzero(face >= 0)
        if not len(rows):
            continue
        f = face[rows, columns]
        buffer.near[window] = near
        thing = first_thing + k
        buffer.thing[window][rows, columns] = thing if surface.outlined else -2 - thing
        buffer.color[window][rows, columns] = _shade(surface, flat, visible, pixels, f, columns, rows)


def _shade(
    surface: Surface,
    flat: Array,
    visible: NDArray[np.int64],
    pixels: Array,
    f: NDArray[np.int32],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
) -> NDArray[np.float32]:
    """(n, 3) colours of the pixels (x, y), which show triangles ``visible[f]``: corner shades, interpolated."""
    base = np.broadcast_to(surface.color, flat.shape) if surface.face_colors is None else surface.face_colors
    if surface.normals is None:
        unit = flat[visible] / np.maximum(np.linalg.norm(flat[visible], axis=1, keepdims=True), 1e-15)
        return (base[visible] * _light(unit)[:, None]).clip(0, 1)[f].astype(np.float32)
    shade = _light(surface.normals[visible]).astype(np.float32)  # (v, 3) at the corners
    a, b, c = (pixels[:, k].astype(np.float32) for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)
    u = np.clip(((x - a[f, 0]) * (c[f, 1] - a[f, 1]) - (y - a[f, 1]) * (c[f, 0] - a[f, 0])) / area[f], 0, 1)
    v = np.clip(((b[f, 0] - a[f, 0]) * (y - a[f, 1]) - (b[f, 1] - a[f, 1]) * (x - a[f, 0])) / area[f], 0, 1)
    bright = shade[f, 0] + u * (shade[f, 1] - shade[f, 0]) + v * (shade[f, 2] - shade[f, 0])
    return np.clip(base[visible][f] * bright[:, None], 0, 1).astype(np.float32)


def _light(normals: Array) -> Array:
    """Lambert shading (...) with light from the sky and a little from below, for unit ``normals`` (..., 3)."""
    sun = np.clip(normals @ LIGHT, 0, None)
    sky = 0.5 + 0.5 * normals[..., 2]
    return 0.42 + 0.22 * sky + 0.48 * sun


def _fill(depth: NDArray[np.float32], pixels: Array, near: Array) -> NDArray[np.int32]:
    """Draw triangles ``pixels`` (f, 3, 2), with ``near`` (f, 3) at their corners, where they are nearer than ``depth``.

    Returns:
        (h, w) the triangle that each pixel shows now, -1 where it is none of these.
    """
    height, width = depth.shape
    face = np.full(depth.shape, -1, dtype=np.int32)
    least = np.minimum(np.minimum(pixels[:, 0], pixels[:, 1]), pixels[:, 2])
    most = np.maximum(np.maximum(pixels[:, 0], pixels[:, 1]), pixels[:, 2])
    low = np.maximum(np.ceil(least), 0).astype(np.int64)
    high = np.minimum(np.floor(most) + 1, (width, height)).astype(np.int64)
    # Barycentric coordinates are affine in the pixel: solve for their coefficients, all triangles at once.
    (ax, ay), (bx, by), (cx, cy) = (pixels[:, k].T for k in range(3))
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    sound = np.flatnonzero((np.abs(area) > 1e-9) & (high[:, 0] > low[:, 0]) & (high[:, 1] > low[:, 1]))
    safe = np.where(np.abs(area) > 1e-9, area, 1.0)
    edges = (
        np.stack(
            [
                np.stack([by - cy, cx - bx, bx * cy - cx * by], axis=1),
                np.stack([cy - ay, ax - cx, cx * ay - ax * cy], axis=1),
                np.stack([ay - by, bx - ax, ax * by - bx * ay], axis=1),
            ],
            axis=1,
        )
        / safe[:, None, None]
    )  # (f, corner, 3): coefficients of x, y and 1
    plane = np.einsum("fki,fk->fi", edges, near)
    extent = np.maximum(high[:, 0] - low[:, 0], high[:, 1] - low[:, 1])
    smaller = 0
    for size in SMALL:
        chosen = sound[(extent[sound] <= size) & (extent[sound] > smaller)]
        for some in np.array_split(chosen, 1 + len(chosen) * size * size // 2_000_000):
            _fill_small(depth, face, some, size, low[some], high[some], edges[some], plane[some])
        smaller = size
    for f in sound[extent[sound] > smaller]:
        _fill_large(depth, face, f, low[f], high[f], edges[f], plane[f])
    return face


def _fill_small(
    depth: NDArray[np.float32],
    face: NDArray[np.int32],
    names: NDArray[np.int64],
    size: int,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    edges: Array,
    plane: Array,
) -> None:
    """All triangles that fit into ``size`` x ``size`` pixels at once: each pixel of the square is tried."""
    if not len(names):
        return
    step = np.arange(size)
    x = low[:, 0, None] + np.tile(step, size)  # (f, size * size)
    y = low[:, 1, None] + np.repeat(step, size)
    inside = (x < high[:, 0, None]) & (y < high[:, 1, None])
    for k in range(3):
        inside &= edges[:, k, 0, None] * x + edges[:, k, 1, None] * y + edges[:, k, 2, None] >= -1e-9
    value = plane[:, 0, None] * x + plane[:, 1, None] * y + plane[:, 2, None]
    f, _ = np.nonzero(inside)
    at, value32 = (y * depth.shape[1] + x)[inside], value[inside].astype(np.float32)
    nearest, names_of = depth.reshape(-1), face.reshape(-1)
    better = value32 > nearest[at]
    at, value32, f = at[better], value32[better], f[better]
    np.maximum.at(nearest, at, value32)
    won = nearest[at] == value32
    names_of[at[won]] = names[f[won]]


def _fill_large(
    depth: NDArray[np.float32],
    face: NDArray[np.int32],
    name: int,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    edges: Array,
    plane: Array,
) -> None:
    (x0, y0), (x1, y1) = low, high
    x, y = np.arange(x0, x1, dtype=np.float64), np.arange(y0, y1, dtype=np.float64)[:, None]
    inside = edges[0, 0] * x + (edges[0, 1] * y + edges[0, 2]) >= -1e-9
    for k in (1, 2):
        inside &= edges[k, 0] * x + (edges[k, 1] * y + edges[k, 2]) >= -1e-9
    value = (plane[0] * x + (plane[1] * y + plane[2])).astype(np.float32)
    there = depth[y0:y1, x0:x1]
    inside &= value > there
    there[inside] = value[inside]
    face[y0:y1, x0:x1][inside] = name


def _outline(image: NDArray[np.float32], thing: NDArray[np.int32], strength: float) -> None:
    """Darken pixels where the thing is another one than to the left or above; things below -1 have no outline."""
    edge = np.zeros(thing.shape, dtype=bool)
    edge[:, 1:] = thing[:, 1:] != thing[:, :-1]
    edge[1:] |= thing[1:] != thing[:-1]
    edge[1:] |= edge[:-1] & (thing[1:] >= 0)
    thin = thing < -1
    edge &= ~thin
    edge[:, 1:] &= ~thin[:, :-1]
    edge[1:] &= ~thin[:-1]
    image[edge] += strength * (OUTLINE - image[edge])


# --- the ground ------------------------------------------------------------------------------------------------------


class Ground:
    """The background: a grid of 0.25 m at ``height`` [m], fading out, with the shadows of what stands over it."""

    SIZE = 260
    """Pixels of the shadow map, each way."""

    def __init__(self, camera: Camera, height: float, casters: Sequence[Surface]) -> None:
        rays = camera.rays()
        self._height = height
        t = (height - camera.eye[2]) / np.where(rays[..., 2] < -1e-6, rays[..., 2], np.nan)
        x, y = camera.eye[0] + t * rays[..., 0], camera.eye[1] + t * rays[..., 1]
        points = np.concatenate([surface.vertices for surface in casters]) if casters else np.zeros((1, 3))
        self._centre = 0.5 * (points[:, :2].min(axis=0) + points[:, :2].max(axis=0))
        self._reach = float(np.ptp(points[:, :2], axis=0).max()) + 0.8
        distance = np.hypot(x - self._centre[0], y - self._centre[1])
        fade = np.nan_to_num(np.clip(1.6 - distance / (0.75 * self._reach), 0, 1))
        pixel = np.nan_to_num(t, nan=1e3) / camera.scale  # width of a pixel on the ground [m]
        line = np.zeros(fade.shape)
        for value in (x, y):
            off = np.abs((value / 0.25 + 0.5) % 1.0 - 0.5) * 0.25
            line = np.maximum(line, np.nan_to_num(np.clip(1.5 - off / np.maximum(pixel, 1e-9) / 1.3, 0, 1)))
        self._plain = (BACKGROUND - 0.10 * line * fade).astype(np.float32)
        scale, half = self.SIZE / (2 * self._reach), self.SIZE / 2
        u = np.nan_to_num((x - self._centre[0]) * scale + half, nan=-1)
        v = np.nan_to_num((y - self._centre[1]) * scale + half, nan=-1)
        inside = (u >= 0) & (v >= 0) & (u < self.SIZE) & (v < self.SIZE)
        self._pixels = np.flatnonzero(inside)
        self._cells = (v[inside].astype(int), u[inside].astype(int))
        self._still = self._covered(casters)

    def image(self, moving: Sequence[Surface] = ()) -> Array:
        """(h, w, 3)"""
        covered = self._still | self._covered(moving) if moving else self._still
        soft = ndimage.gaussian_filter(covered.astype(np.float32), self.SIZE * 0.012)
        image = self._plain.copy()
        image.reshape(-1)[self._pixels] -= 0.17 * soft[self._cells]
        return np.repeat(image[..., None], 3, axis=2)

    def _covered(self, casters: Sequence[Surface]) -> NDArray[np.bool_]:
        """(SIZE, SIZE) where the sun, nearly overhead, does not reach the ground."""
        slant = np.array([0.18, 0.24])
        depth = np.zeros((self.SIZE, self.SIZE), dtype=np.float32)
        for surface in casters:
            flat = surface.vertices[:, :2] + slant * np.maximum(surface.vertices[:, 2:] - self._height, 0)
            points = (flat - self._centre) * (self.SIZE / (2 * self._reach)) + self.SIZE / 2
            column, row = np.round(points).astype(int).clip(0, self.SIZE - 1).T
            depth[row, column] = 1.0  # enough for triangles smaller than a cell
            pixels = points[surface.faces]
            sides = np.abs(pixels[:, 1:] - pixels[:, :1]).reshape(-1, 4)
            pixels = pixels[(sides > 1).any(axis=1)]
            _fill(depth, pixels, np.ones(pixels.shape[:2]))
        return depth > 0
