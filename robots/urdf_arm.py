"""Which joints of a URDF are the arm: those on the way to the tool, or the one long chain there is."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from edmp.errors import FileFormatError, unknown_name
from edmp.robots.urdf_tree import KINDS, Urdf, UrdfJoint, note

SHORTEST = 4
"""Where moving joints fork, the longest branch is the arm if it has so many joints, and twice as many as the others."""

HAND = 3
"""After at least so many joints of an arm, shorter branches than this are a gripper."""

_GRIPPER = re.compile(r"gripper|finger|jaw|claw", re.IGNORECASE)
_FINGER = re.compile(
    r"finger|jaw|claw", re.IGNORECASE
)  # a link that is a gripper may just be mounted on the last joint
_WRIST = re.compile(r"wrist|roll|pitch|yaw|rot|twist", re.IGNORECASE)


def arm_of(urdf: Urdf, tool: str | None, frozen: Collection[str]) -> tuple[str, list[UrdfJoint]]:
    """The root link of the arm's tree, and the arm's moving joints, base to tip.

    Args:
        urdf: the file.
        tool: a link at the end of the arm; None to follow the longest chain.
        frozen: names of joints that are no part of the arm, wherever they are.

    Raises:
        FileFormatError: no such chain, or a joint in it that an arm cannot have.
        UnknownNameError: no link called ``tool``.
    """
    if tool is not None and tool not in urdf.sources:
        raise unknown_name("tool frame", tool, urdf.sources)
    depth = _depths(urdf, frozen)
    root = urdf.root_of(tool) if tool is not None else _deepest_tree(urdf, depth)
    if other := [name for name in urdf.roots if name != root]:
        note(f"{urdf.source}: links that no joint connects to {root} are left out, with all below: {', '.join(other)}")
    if tool is not None:
        way = urdf.chain(tool)
        arm = [joint for joint in way if _moves(joint, frozen)]
    else:
        arm = _only_chain(urdf, root, depth, frozen)
        way = urdf.chain(arm[-1].child) if arm else []
    if not arm:
        still = [f"{joint.name} ({joint.kind})" for joint in urdf.joints if joint.kind != "fixed"]
        why = f"; standing still: {', '.join(still)}" if still else ""
        raise FileFormatError(f"{urdf.source}: no moving joint between {root} and {tool or 'any link'}{why}")
    _check_way(urdf, way, arm)
    return root, arm


def _moves(joint: UrdfJoint, frozen: Collection[str]) -> bool:
    return joint.moves and joint.name not in frozen


def _check_way(urdf: Urdf, way: Sequence[UrdfJoint], arm: Sequence[UrdfJoint]) -> None:
    """Every joint on the way to the tool is one that an arm can have; before the arm, one that can be held still."""
    for joint in way[: way.index(arm[0])]:
        if joint.kind not in (*KINDS, "fixed", "planar", "floating"):
            raise _unsupported(joint)
    for joint in way[way.index(arm[0]) :]:
        if joint.kind not in (*KINDS, "fixed"):
            raise _unsupported(joint)
    if mimics := [joint.name for joint in arm if joint.mimics]:
        raise FileFormatError(
            f"{urdf.source}: joint {mimics[0]} of the arm mimics another: not a serial arm; "
            "choose a tool= before it, or hold it still by frozen="
        )


def _unsupported(joint: UrdfJoint) -> FileFormatError:
    return FileFormatError(
        f"{joint.place}: type {joint.kind!r}; supported on the way to the tool: fixed, {', '.join(KINDS)}"
    )


def _depths(urdf: Urdf, frozen: Collection[str]) -> dict[str, int]:
    """For every link, how many moving joints, one after the other, are below it."""
    links = [link for root in urdf.roots for link in urdf.below(root)]
    depth: dict[str, int] = {}
    for link in reversed(links):
        depth[link] = max((depth[joint.child] + _moves(joint, frozen) for joint in urdf.children(link)), default=0)
    return depth


def _deepest_tree(urdf: Urdf, depth: dict[str, int]) -> str:
    deepest = max(depth[root] for root in urdf.roots)
    roots = [root for root in urdf.roots if depth[root] == deepest]
    if len(roots) > 1 and deepest > 0:
        raise FileFormatError(f"{urdf.source}: {len(roots)} trees of links: {', '.join(roots)}; choose one with tool=")
    return roots[0]


def _only_chain(urdf: Urdf, root: str, depth: dict[str, int], frozen: Collection[str]) -> list[UrdfJoint]:
    """Follow the moving joints from the root; where they fork, the arm ends and what follows must be a gripper."""
    arm: list[UrdfJoint] = []
    link = root
    while True:
        following = _next_moving(urdf, link, frozen)
        onward = _way_on(following, depth)
        if onward is not None and not _is_gripper(urdf, onward, arm, depth):
            arm.append(onward)
            link = onward.child
            continue
        deepest = max((1 + depth[joint.child] for joint in following), default=0)
        if following and (len(arm) < HAND or deepest > HAND):
            names = ", ".join(joint.name for joint in following)
            raise FileFormatError(
                f"{urdf.source}: not a serial arm: after {link} the moving joints fork ({names}); "
                f"choose one chain with tool=; links: {', '.join(urdf.sources)}"
            )
        return arm


def _way_on(following: Sequence[UrdfJoint], depth: dict[str, int]) -> UrdfJoint | None:
    """The joint by which the arm goes on; None if none does, or none more than others."""
    if not following:
        return None
    longest, *others = sorted(following, key=lambda joint: depth[joint.child], reverse=True)
    length, second = 1 + depth[longest.child], max((1 + depth[joint.child] for joint in others), default=0)
    alone = not others or (length >= SHORTEST and length >= 2 * second)
    return longest if alone and not longest.mimics else None


def _is_gripper(urdf: Urdf, joint: UrdfJoint, arm: Sequence[UrdfJoint], depth: dict[str, int]) -> bool:
    """Whether the last joint of a chain is by its name one that opens and shuts."""
    if depth[joint.child] or len(arm) < HAND or _WRIST.search(joint.name):
        return False
    if not _GRIPPER.search(joint.name) and not _FINGER.search(joint.child):
        return False
    note(
        f"{joint.place}: by its name a gripper, so it is no joint of the arm and stands still; "
        f"tool={joint.child!r} would make it one"
    )
    return True


def _next_moving(urdf: Urdf, link: str, frozen: Collection[str]) -> list[UrdfJoint]:
    """The first moving joints below a link, across those that stand still."""
    found: list[UrdfJoint] = []
    pending = [link]
    while pending:
        for joint in urdf.children(pending.pop()):
            if _moves(joint, frozen):
                found.append(joint)
            else:
                pending.append(joint.child)
    return found
