"""Obstacles in the kernels: what all have, in the order of the scene, and a table for each kind that has a distance.

Every obstacle has a pose, a box and a margin; that is all that culling reads. A table holds what the distance of its
kind needs, whatever that is. So a kind of its own is a table, a function, and a branch in `shape_distance`; kernels do
not know of it.
"""

from edmp.collision.kernels.chain import Lanes, may_touch
from edmp.collision.kernels.clouds import Clouds, cloud_distance, least_gap
from edmp.collision.kernels.grids import Fields, Voxels, field_distance, voxel_distance
from edmp.warp_start import wp

wp.set_module_options({"enable_backward": False, "fast_math": True})

BOX = wp.constant(0)
CYLINDER = wp.constant(1)
CAPSULE = wp.constant(2)
MESH = wp.constant(3)
VOXELS = wp.constant(4)
FIELD = wp.constant(5)
CLOUD = wp.constant(6)


@wp.struct
class Rounds:
    """Cylinders and capsules; a ball is a capsule without length."""

    size: wp.array(dtype=wp.vec2)  # radius, half length


@wp.struct
class Meshes:
    id: wp.array(dtype=wp.uint64)


@wp.struct
class Obstacles:
    """The scene; lengths in [m]. The frame of every obstacle has its origin in the centre of its box."""

    count: int
    R_WO: wp.array(dtype=wp.mat33)
    p_WO: wp.array(dtype=wp.vec3)
    half: wp.array(dtype=wp.vec3)  # half extents of the shape's bounding box along the obstacle's own axes
    margin: wp.array(dtype=float)  # by how much the obstacle counts as bigger than its shape, on all sides
    place: wp.array(dtype=wp.vec2i)  # its kind, and its row in the table of that
    num_groups: int  # the world boxes, margins included, eight by eight, for SIMD: centres and half extents
    group_x: wp.array(dtype=Lanes)
    group_y: wp.array(dtype=Lanes)
    group_z: wp.array(dtype=Lanes)
    group_half_x: wp.array(dtype=Lanes)
    group_half_y: wp.array(dtype=Lanes)
    group_half_z: wp.array(dtype=Lanes)
    rounds: Rounds
    meshes: Meshes
    voxels: Voxels
    fields: Fields
    clouds: Clouds  # a box needs no table: it is its box


@wp.func
def box_distance(p: wp.vec3, half: wp.vec3) -> wp.vec4:
    a = wp.vec3(wp.abs(p[0]) - half[0], wp.abs(p[1]) - half[1], wp.abs(p[2]) - half[2])
    sign = wp.vec3(wp.sign(p[0]), wp.sign(p[1]), wp.sign(p[2]))
    inside = wp.max(a[0], wp.max(a[1], a[2]))
    if inside <= 0.0:
        if a[0] >= a[1] and a[0] >= a[2]:
            return wp.vec4(sign[0], 0.0, 0.0, inside)
        if a[1] >= a[2]:
            return wp.vec4(0.0, sign[1], 0.0, inside)
        return wp.vec4(0.0, 0.0, sign[2], inside)
    v = wp.vec3(wp.max(a[0], 0.0), wp.max(a[1], 0.0), wp.max(a[2], 0.0))
    d = wp.length(v)
    return wp.vec4(sign[0] * v[0] / d, sign[1] * v[1] / d, sign[2] * v[2] / d, d)


@wp.func
def cylinder_distance(p: wp.vec3, radius: float, half_length: float) -> wp.vec4:
    rho = wp.sqrt(p[0] * p[0] + p[1] * p[1])
    radial = wp.vec3(1.0, 0.0, 0.0)
    if rho > 1.0e-9:
        radial = wp.vec3(p[0] / rho, p[1] / rho, 0.0)
    axial = wp.sign(p[2])
    a = rho - radius
    b = wp.abs(p[2]) - half_length
    if a <= 0.0 and b <= 0.0:
        if a >= b:
            return wp.vec4(radial[0], radial[1], 0.0, a)
        return wp.vec4(0.0, 0.0, axial, b)
    u = wp.max(a, 0.0)
    v = wp.max(b, 0.0)
    d = wp.sqrt(u * u + v * v)
    return wp.vec4(radial[0] * u / d, radial[1] * u / d, axial * v / d, d)


@wp.func
def capsule_distance(p: wp.vec3, radius: float, half_length: float) -> wp.vec4:
    v = wp.vec3(p[0], p[1], p[2] - wp.clamp(p[2], -half_length, half_length))
    d = wp.length(v)
    if d < 1.0e-9:
        return wp.vec4(1.0, 0.0, 0.0, -radius)
    return wp.vec4(v[0] / d, v[1] / d, v[2] / d, d - radius)


@wp.func
def mesh_distance(mesh: wp.uint64, p: wp.vec3, half: wp.vec3, reach: float) -> wp.vec4:
    a = wp.max(wp.vec3(wp.abs(p[0]), wp.abs(p[1]), wp.abs(p[2])) - half, wp.vec3())
    if wp.dot(a, a) > reach * reach:
        return wp.vec4(0.0, 0.0, 0.0, reach)
    # Not limited to ``reach``: a point deep inside is farther than that from the surface.
    query = wp.mesh_query_point_sign_winding_number(mesh, p, reach + 2.0 * wp.length(half))
    if not query.result:
        return wp.vec4(0.0, 0.0, 0.0, reach)
    v = p - wp.mesh_eval_position(mesh, query.face, query.u, query.v)
    d = wp.length(v)
    n = v / wp.max(d, 1.0e-9) * query.sign
    return wp.vec4(n[0], n[1], n[2], d * query.sign)


@wp.func
def shape_distance(obstacles: Obstacles, o: int, p_O: wp.vec3, reach: float) -> wp.vec4:
    """`obstacle_distance` without the margin."""
    place = obstacles.place[o]
    kind = place[0]
    row = place[1]
    if kind == BOX:
        return box_distance(p_O, obstacles.half[o])
    if kind == MESH:
        return mesh_distance(obstacles.meshes.id[row], p_O, obstacles.half[o], reach)
    if kind == VOXELS:
        return voxel_distance(obstacles.voxels.grid[row], p_O, reach)
    if kind == FIELD:
        return field_distance(obstacles.fields.grid[row], p_O)
    if kind == CLOUD:
        return cloud_distance(obstacles.clouds.each[row], p_O, reach)
    size = obstacles.rounds.size[row]
    if kind == CYLINDER:
        return cylinder_distance(p_O, size[0], size[1])
    return capsule_distance(p_O, size[0], size[1])


@wp.func
def obstacle_distance(obstacles: Obstacles, o: int, p_O: wp.vec3, reach: float) -> wp.vec4:
    """Signed distance d to obstacle o with its margin, and its gradient n, of and in the obstacle's frame: (n_O, d).

    Meshes, cells and clouds may answer ``reach`` with a zero gradient for anything farther away.
    """
    margin = obstacles.margin[o]
    nd = shape_distance(obstacles, o, p_O, reach + margin)
    return wp.vec4(nd[0], nd[1], nd[2], nd[3] - margin)


@wp.func
def may_reach(obstacles: Obstacles, o: int, p_O: wp.vec3, reach: float) -> bool:
    """False only if obstacle o with its margin is farther than ``reach`` from a point: the second cull for links."""
    reach += obstacles.margin[o]
    if not may_touch(obstacles.half[o], p_O, reach):
        return False
    place = obstacles.place[o]
    if place[0] == CLOUD:
        cloud = obstacles.clouds.each[place[1]]
        return least_gap(cloud, p_O) < reach + cloud.radius
    return True


@wp.func
def fills_box(obstacles: Obstacles, o: int) -> bool:
    """Is the obstacle its own box? What comes near that box then comes near the obstacle."""
    return obstacles.place[o][0] == BOX


@wp.func
def group_slack(obstacles: Obstacles, g: int, c_W: wp.vec3, reach: float) -> Lanes:
    """Positive where an obstacle of group g has its world box within ``reach`` of a point: the first cull for links."""
    zero = Lanes(0.0)
    x = wp.max(wp.abs(obstacles.group_x[g] - Lanes(c_W[0])) - obstacles.group_half_x[g], zero)
    y = wp.max(wp.abs(obstacles.group_y[g] - Lanes(c_W[1])) - obstacles.group_half_y[g], zero)
    z = wp.max(wp.abs(obstacles.group_z[g] - Lanes(c_W[2])) - obstacles.group_half_z[g], zero)
    limit = wp.max(reach, 0.0)  # negative for a link without spheres
    return Lanes(limit * limit) - (wp.cw_mul(x, x) + wp.cw_mul(y, y) + wp.cw_mul(z, z))
