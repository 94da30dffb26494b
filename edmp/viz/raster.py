"""A small depth-buffer renderer in numpy: no screen, no GPU, no order problems.

Opaque surfaces, then translucent layers, over a ground grid with a soft shadow; outlines where one thing ends and the
next begins, as in a technical drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edmp.viz.camera import Camera
from edmp.viz.surfaces import Surface

Array = NDArray[np.float64]

LIGHT = np.array([-0.35, -0.5, 0.8]) / np.linalg.norm([-0.35, -0.5, 0.8])
"""Towards the sun, in the world."""

BACKGROUND = np.ones(3)
OUTLINE = np.array([0.13, 0.15, 0.19])


@dataclass(frozen=True, eq=False)
class Layer:
    """Surfaces drawn together, over what is there, with ``opacity`` in 0..1; they hide each other fully."""

    surfaces: Sequence[Surface]
    opacity: float


class Buffer:
    """What each pixel shows: ``near`` (h, w) is one through its depth [1/m], ``face`` its triangle, -1 for none."""

    def __init__(self, camera: Camera) -> None:
        width, height = camera.size
        self.near = np.zeros((height, width), dtype=np.float32)
        self.face = np.full((height, width), -1, dtype=np.int32)


def render(
    camera: Camera, opaque: Sequence[Surface], layers: Sequence[Layer], ground: float, *, samples: int = 2
) -> tuple[Array, Buffer]:
    """The picture (height, width, 3) in 0..1, and the buffer of its opaque part, ``samples`` times as fine each way.

    Args:
        camera: the view.
        opaque: surfaces that hide what is behind them.
        layers: translucent ones, drawn in this order.
        ground: height of the grid [m].
        samples: rays a pixel, each way.
    """
    image = _ground(camera, ground, [*opaque, *(s for layer in layers for s in layer.surfaces)])
    image = image.repeat(samples, axis=0).repeat(samples, axis=1)
    fine = camera.enlarged(samples)
    buffer = Buffer(fine)
    colors, things = _draw(buffer, fine, opaque)
    hit = buffer.face >= 0
    image[hit] = colors[buffer.face[hit]]
    _outline(image, buffer, things, 0.75)
    for layer in layers:
        window, part = _cropped(fine, layer.surfaces)
        front = Buffer(part)
        colors, things = _draw(front, part, layer.surfaces)
        hit = (front.face >= 0) & (front.near > buffer.near[window])
        front.face[~hit] = -1
        seen = image[window]
        seen[hit] += layer.opacity * (colors[front.face[hit]] - seen[hit])
        _outline(seen, front, things, layer.opacity)
    width, height = camera.size
    image = image.reshape(height, samples, width, samples, 3).mean(axis=(1, 3))
    return np.clip(image, 0, 1), buffer


def _cropped(camera: Camera, surfaces: Sequence[Surface]) -> tuple[tuple[slice, slice], Camera]:
    """The rows and columns of the picture that the surfaces can touch, and the camera of that part alone."""
    pixels, _ = camera.project(np.concatenate([surface.vertices for surface in surfaces]))
    limit = np.array(camera.size)
    low = np.clip(np.floor(pixels.min(axis=0)).astype(int) - 1, 0, limit - 1)
    high = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + 2, low + 1, limit)
    width, height = (high - low).tolist()
    part = Camera(camera.eye, camera.axes, camera.scale, camera.centre - low, (width, height))
    return (slice(low[1], high[1]), slice(low[0], high[0])), part


def _draw(buffer: Buffer, camera: Camera, surfaces: Sequence[Surface]) -> tuple[Array, NDArray[np.int32]]:
    """Fill the buffer; returns the shaded colour and the thing (surface number) of each triangle, numbered alike."""
    if not surfaces:
        return np.zeros((0, 3)), np.zeros(0, dtype=np.int32)
    corners = np.concatenate([surface.vertices[surface.faces] for surface in surfaces])
    counts = [len(surface.faces) for surface in surfaces]
    things = np.repeat(np.arange(len(surfaces)), counts).astype(np.int32)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-15)
    base = np.repeat([surface.color for surface in surfaces], counts, axis=0)
    colors = _shaded(base, normals)
    visible = np.flatnonzero(np.einsum("fi,fi->f", normals, camera.eye - corners[:, 0]) > 0)
    pixels, depth = camera.project(corners[visible])
    _fill(buffer, pixels, 1.0 / depth, visible)
    return colors, things


def _shaded(base: Array, normals: Array) -> Array:
    """Lambert shading with light from the sky and a little from below."""
    sun = np.clip(normals @ LIGHT, 0, None)
    sky = 0.5 + 0.5 * normals[:, 2]
    return np.clip(base * (0.42 + 0.22 * sky + 0.48 * sun)[:, None], 0, 1)


def _fill(buffer: Buffer, pixels: Array, near: Array, faces: NDArray[np.int64]) -> None:
    """Draw triangles ``pixels`` (f, 3, 2) with ``near`` (f, 3) where they are nearer than what is there."""
    height, width = buffer.near.shape
    low = np.maximum(np.ceil(pixels.min(axis=1)), 0).astype(int)
    high = np.minimum(np.floor(pixels.max(axis=1)) + 1, (width, height)).astype(int)
    # Barycentric coordinates are affine in the pixel: solve for their coefficients, all triangles at once.
    M = np.concatenate([pixels, np.ones((len(pixels), 3, 1))], axis=2)
    sound = (np.abs(np.linalg.det(M)) > 1e-9) & (high > low).all(axis=1)
    C = np.zeros_like(M)
    C[sound] = np.linalg.inv(M[sound])  # (f, 3, 3): column k holds the coefficients of coordinate k
    plane = np.einsum("fij,fj->fi", C, near)
    x_all, y_all = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)[:, None]
    for f in np.flatnonzero(sound):
        (x0, y0), (x1, y1) = low[f], high[f]
        x, y, c = x_all[x0:x1], y_all[y0:y1], C[f]
        inside = c[0, 0] * x + c[1, 0] * y >= -c[2, 0]
        inside &= c[0, 1] * x + c[1, 1] * y >= -c[2, 1]
        inside &= c[0, 2] * x + c[1, 2] * y >= -c[2, 2]
        if not inside.any():
            continue
        value = (plane[f, 0] * x + (plane[f, 1] * y + plane[f, 2])).astype(np.float32)
        there = buffer.near[y0:y1, x0:x1]
        inside &= value > there
        there[inside] = value[inside]
        buffer.face[y0:y1, x0:x1][inside] = faces[f]


def _outline(image: Array, buffer: Buffer, things: NDArray[np.int32], strength: float) -> None:
    """Darken pixels where the thing is another one than to the left or above."""
    thing = np.full(buffer.face.shape, -1, dtype=np.int32)
    hit = buffer.face >= 0
    thing[hit] = things[buffer.face[hit]]
    edge = np.zeros(thing.shape, dtype=bool)
    edge[:, 1:] |= thing[:, 1:] != thing[:, :-1]
    edge[1:] |= thing[1:] != thing[:-1]
    edge |= np.roll(edge, 1, axis=0) & hit
    image[edge] += strength * (OUTLINE - image[edge])


def _ground(camera: Camera, height: float, casters: Sequence[Surface]) -> Array:
    """The background: a grid of 0.25 m at ``height``, fading out, with the shadow of ``casters``."""
    rays = camera.rays()
    image = np.empty(rays.shape)
    image[:] = BACKGROUND
    t = (height - camera.eye[2]) / np.where(rays[..., 2] < -1e-6, rays[..., 2], np.nan)
    x, y = camera.eye[0] + t * rays[..., 0], camera.eye[1] + t * rays[..., 1]
    points = np.concatenate([surface.vertices for surface in casters]) if casters else np.zeros((1, 3))
    centre, reach = points[:, :2].mean(axis=0), float(np.ptp(points[:, :2], axis=0).max()) + 0.6
    distance = np.hypot(x - centre[0], y - centre[1])
    fade = np.nan_to_num(np.clip(1.6 - distance / (0.75 * reach), 0, 1))
    pixel = np.nan_to_num(t, nan=1e3) / camera.scale  # width of a pixel on the ground [m]
    line = np.zeros(fade.shape)
    for value in (x, y):
        off = np.abs((value / 0.25 + 0.5) % 1.0 - 0.5) * 0.25
        line = np.maximum(line, np.nan_to_num(np.clip(1.5 - off / np.maximum(pixel, 1e-9) / 1.3, 0, 1)))
    image -= (0.10 * line * fade)[..., None]
    shadow = _shadow(casters, height, centre, reach)
    n = shadow.shape[0]
    u = np.nan_to_num((x - centre[0]) / reach * n / 2 + n / 2, nan=-1)
    v = np.nan_to_num((y - centre[1]) / reach * n / 2 + n / 2, nan=-1)
    inside = (u >= 0) & (v >= 0) & (u < n) & (v < n)
    image[inside] -= 0.17 * shadow[v[inside].astype(int), u[inside].astype(int), None]
    return image


def _shadow(casters: Sequence[Surface], height: float, centre: Array, reach: float, n: int = 260) -> Array:
    """(n, n) soft shadow on the square of half width ``reach`` round ``centre``, the sun nearly overhead."""
    slant = np.array([0.18, 0.24])
    buffer = Buffer(Camera(np.zeros(3), np.eye(3), 1.0, np.zeros(2), (n, n)))
    for surface in casters:
        points = surface.vertices
        flat = points[:, :2] + slant * np.maximum(points[:, 2:] - height, 0)
        pixels = ((flat - centre) / reach * n / 2 + n / 2)[surface.faces]
        _fill(buffer, pixels, np.ones(pixels.shape[:2]), np.zeros(len(pixels), dtype=np.int64))
    return ndimage.gaussian_filter((buffer.face >= 0).astype(np.float64), n * 0.012)
