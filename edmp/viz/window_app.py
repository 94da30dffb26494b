"""The window itself, with Open3D: panels round a scene, fed by a `Playback`."""

from __future__ import annotations

import dataclasses
import importlib
import os
import pickle
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.viz.models import placed, robot_parts
from edmp.viz.playback import KEY_OF, SPEEDS, Playback
from edmp.viz.staging import (
    BOXES,
    END_OPACITY,
    FAULT,
    FIELD_OF_VIEW,
    GOAL,
    PATH,
    REGION_OPACITY,
    SPHERES,
    START,
    SWEPT_OPACITY,
    TUBE_RADIUS,
    VEIL_OPACITY,
    Staging,
    clearance_colored,
)
from edmp.viz.subject import Subject
from edmp.viz.surfaces import Color, Surface, body_poses, corner_normals, tool_positions, tube

open3d: Any = importlib.import_module("open3d")  # its type stubs do not know its own enumerations
gui, rendering = open3d.visualization.gui, open3d.visualization.rendering

Array = NDArray[np.float64]

SIZE = (1280, 860)
SKY = (0.95, 0.96, 0.97, 1.0)
SUN_INTENSITY, SKY_INTENSITY = 45_000.0, 16_000.0
"""Of Filament's lights, the first in [lux]."""
REDRAWS = 4
"""How often a change is drawn: Filament drops the first frames of a new window, and shadows are late by one."""
LONGEST_STEP = 0.5
"""The clock does not run on while the window is busy for longer than this [s]."""
_LEAST_OPACITY = 0.7
"""Open3D's bright background drowns the colours of what is more transparent than this, and its transparent shader takes
them times the opacity, squared."""
PERIOD, SOFTWARE_PERIOD = 0.03, 0.3
"""The robot is put in its place no more often than this [s]; a software driver that gets meshes faster than it draws
them never ends its picture."""
COLORING_PERIOD = 0.3
"""Clearance is coloured no more often than this while the arm moves [s]: the meshes are handed over anew each time."""
PANEL = (0.17, 0.19, 0.22, 0.94)
INK, QUIET, RED, GREEN = (0.93, 0.94, 0.95), (0.68, 0.72, 0.77), (1.0, 0.52, 0.48), (0.45, 0.85, 0.58)
OVERLAY_COLORS = {"start": START, "goal": GOAL, "spheres": SPHERES, "boxes": BOXES}
KEY_NAMES = {
    gui.KeyName.SPACE: "space", gui.KeyName.LEFT: "left", gui.KeyName.RIGHT: "right", gui.KeyName.HOME: "home",
    gui.KeyName.END: "end", gui.KeyName.MINUS: "minus", gui.KeyName.PLUS: "plus", gui.KeyName.EQUALS: "plus",
    gui.KeyName.COMMA: "left", gui.KeyName.PERIOD: "right", gui.KeyName.ESCAPE: "q",
}  # fmt: skip
"""What `Playback.press` calls the keys that are no letters."""


def main(subject_file: str, geometry: str) -> None:
    """Show the pickled subject until the window is closed, and end this process."""
    subject: Subject = pickle.loads(Path(subject_file).read_bytes())
    application = gui.Application.instance
    application.initialize()
    ViewerWindow(application, Staging(subject, geometry))
    application.run()
    os._exit(0)  # all is done; what Open3D's libraries do at the end of a process may crash


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Surfaces that are drawn as one mesh, each carried by a body.

    Attributes:
        corners: (V, 3) in the frame of the body [m]; triangles k are corners 3 k to 3 k + 2.
        normals: (V, 3) there.
        colors: (V, 3).
        body: (V,) index of the body.
        opacity: 0..1.
    """

    corners: Array
    normals: Array
    colors: Array
    body: NDArray[np.int64]
    opacity: float

    @staticmethod
    def of(carried: Sequence[tuple[int, Surface]], opacity: float = 1.0) -> Group:
        """Of surfaces and the bodies that carry them."""
        parts = []
        for body, surface in carried:
            faces = surface.faces
            normal = corner_normals(surface.vertices, faces) if surface.normals is None else surface.normals
            colors = surface.face_colors
            colors = np.broadcast_to(surface.color, (len(faces), 3)) if colors is None else colors
            at = surface.vertices[faces].reshape(-1, 3)
            parts.append((at, normal.reshape(-1, 3), np.repeat(colors, 3, axis=0), np.full(len(at), body)))
        corners, normals, shades, bodies = zip(*parts, strict=True)
        joined = [np.concatenate(rows) for rows in (corners, normals, shades)]
        return Group(joined[0], joined[1], joined[2], np.concatenate(bodies), opacity)

    def mesh(self, X_WB: Array) -> Any:
        """An Open3D mesh with the bodies at the poses ``X_WB`` (n, 4, 4)."""
        corners, normals = np.empty_like(self.corners), np.empty_like(self.normals)
        for body in np.unique(self.body):
            on, X = self.body == body, X_WB[body]
            corners[on] = self.corners[on] @ X[:3, :3].T + X[:3, 3]
            normals[on] = self.normals[on] @ X[:3, :3].T
        mesh = open3d.t.geometry.TriangleMesh()
        mesh.vertex.positions = open3d.core.Tensor(corners.astype(np.float32))
        mesh.vertex.normals = open3d.core.Tensor(normals.astype(np.float32))
        mesh.vertex.colors = open3d.core.Tensor(self.colors.astype(np.float32))
        mesh.triangle.indices = open3d.core.Tensor(np.arange(len(corners), dtype=np.int32).reshape(-1, 3))
        return mesh


class SceneModel:
    """What stands in an `Open3DScene`: one mesh for each thing that is shown or hidden by itself.

    Filament takes seconds for every further mesh where it draws in software, so they are few, and what moves is handed
    over anew.
    """

    def __init__(self, scene: Any, stage: Staging, playback: Playback) -> None:
        self.scene, self.stage, self.playback = scene, stage, playback
        self._colored = 0.0  # when the clearance was coloured last
        self._stale = True
        self._groups: dict[str, Group] = {}
        self._shown: set[str] = set()

    def _group(self, name: str) -> Group:
        """What is drawn under the name of an overlay; made when it is first asked for."""
        if name not in self._groups:
            self._groups[name] = self._make(name)
        return self._groups[name]

    def _make(self, name: str) -> Group:
        stage, subject = self.stage, self.playback.subject
        if name == "obstacles":
            return Group.of([(0, surface.at(self._X_0W)) for surface in stage.scene_surfaces()])
        if name == "regions":
            surfaces = [surface.at(self._X_0W) for layer in stage.regions() for surface in layer.surfaces]
            return Group.of([(0, surface) for surface in surfaces], REGION_OPACITY)
        if name == "goal pose":
            marks = (*stage.goal_frame(), *stage.goal_ghost())
            return Group.of([(0, surface.at(self._X_0W)) for surface in marks])
        if name == "tool path":
            motion = subject.motions[self.playback.motion]
            points = tool_positions(stage.robot, motion.at(np.linspace(0.0, motion.duration, 160)))
            return Group.of([(0, tube(points, TUBE_RADIUS, PATH).at(self._X_0W))])
        if name == "swept volume":
            chosen = dataclasses.replace(stage, subject=subject.choosing(self.playback.motion), show=("swept",))
            surfaces = [surface.at(self._X_0W) for layer in chosen.swept() for surface in layer.surfaces]
            return Group.of([(0, surface) for surface in surfaces], SWEPT_OPACITY)
        if name in ("spheres", "boxes"):
            parts = robot_parts(stage.robot, name)
            return Group.of([(p.body, p.surface.colored(OVERLAY_COLORS[name])) for p in parts], VEIL_OPACITY)
        at = "start" if name == "robot" else name.removesuffix(" at fault")
        faults = subject.faults if subject.at_fault[at] else frozenset()
        if name == "robot":
            red = [(p.body, p.surface.colored(FAULT) if p.link in faults else p.surface) for p in stage.parts]
            return Group.of(red)
        moving = [part for part in stage.parts if part.body > 0]
        if name.endswith("at fault"):
            return Group.of([(part.body, part.surface.colored(FAULT)) for part in moving if part.link in faults])
        sound = [(part.body, part.tinted(OVERLAY_COLORS[name])) for part in moving if part.link not in faults]
        return Group.of(sound, END_OPACITY)

    @property
    def _X_0W(self) -> Array:
        """The world in the frame of body 0, which stands still: what does not move is carried by that body."""
        return np.asarray(np.linalg.inv(self.stage.robot.X_W0), dtype=np.float64)

    def _put(self, name: str, q: Array, group: Group | None = None) -> None:
        """Draw what belongs to an overlay with the robot at ``q`` (dof,), in place of what it drew before."""
        group = self._group(name) if group is None else group
        material = rendering.MaterialRecord()
        material.shader = "defaultLit" if group.opacity == 1.0 else "defaultLitTransparency"
        opacity = group.opacity if group.opacity == 1.0 else _LEAST_OPACITY + (1.0 - _LEAST_OPACITY) * group.opacity
        material.base_color = (*3 * (1.0 / opacity**2,), opacity)
        material.base_roughness, material.base_reflectance = 0.85, 0.2
        material.sRGB_color = True
        self._remove(name)
        self.scene.add_geometry(name, group.mesh(body_poses(self.stage.robot, q[None])[0]), material)
        self._shown.add(name)

    def _remove(self, name: str) -> None:
        if name in self._shown:
            self.scene.remove_geometry(name)
            self._shown.discard(name)

    def refresh(self, *, chosen: bool = False) -> None:
        """Show what the playback says is visible; ``chosen`` if another motion has been put in front."""
        playback = self.playback
        visible = dict(playback.visible)
        clearance = visible.get("clearance", False) and visible["robot"]
        visible["robot"] = visible["robot"] and not clearance
        visible["clearance"] = clearance
        for end in ("start", "goal"):
            subject = playback.subject
            red = end != "start" and subject.at_fault[end] and bool(subject.faults & set(subject.robot.link_names))
            visible[f"{end} at fault"] = visible.get(end, False) and red
        if chosen:
            for name in ("tool path", "swept volume", "start", "goal"):
                self._remove(name)
            for name in ("tool path", "swept volume"):
                self._groups.pop(name, None)
        for name, shown in visible.items():
            if not shown:
                self._remove(name)
            elif name not in self._shown and name != "clearance":
                ends = playback.ends
                self._put(name, ends.get(name.removesuffix(" at fault"), playback.configuration))
        self.move(at_once=True)

    def move(self, *, at_once: bool = False) -> None:
        """Put the robot where it is now. Its clearance is coloured ``at_once``, or when it is time for that."""
        for name in ("robot", "spheres", "boxes"):
            if name in self._shown:
                self._put(name, self.playback.configuration)
        self._stale = True
        self.color(at_once=at_once)

    def color(self, *, at_once: bool = False) -> bool:
        """Colour the robot by its clearance, where that is shown, out of date and due; returns whether it was done."""
        visible = self.playback.visible
        due = at_once or time.monotonic() - self._colored > COLORING_PERIOD
        if not (visible.get("clearance") and visible["robot"] and self._stale and due):
            return False
        q = self.playback.configuration
        seen = clearance_colored(placed(self.stage.parts, self.stage.robot, q), self.playback.subject.scene)
        self._put("clearance", q, Group.of([(0, surface.at(self._X_0W)) for surface in seen]))
        self._colored, self._stale = time.monotonic(), False
        return True


class ViewerWindow:
    """The scene with a panel of words and switches at its left and the clock below."""

    def __init__(self, application: Any, stage: Staging) -> None:
        self.application, self.stage = application, stage
        self.playback = Playback(stage.subject)
        subject = stage.subject
        self.window = application.create_window(f"{subject.name or subject.robot.name} - edmp", *SIZE)
        self.view = gui.SceneWidget()
        self.view.scene = rendering.Open3DScene(self.window.renderer)
        self._set_light()
        self.model = SceneModel(self.view.scene, stage, self.playback)
        self.window.add_child(self.view)
        self.panel, self.transport = self._make_panel(), self._make_transport()
        self.window.add_child(self.panel)
        self.window.add_child(self.transport)
        self.window.set_on_layout(self._lay_out)
        self.window.set_on_key(self._on_key)
        self.window.set_on_tick_event(self._tick)
        self._before = time.monotonic()
        self._moved, self._period = 0.0, PERIOD if has_graphics_card() else SOFTWARE_PERIOD
        self._placed, self._motion = False, 0
        self._refresh()

    def _set_light(self) -> None:
        eye, target = self.stage.orbit()
        away = target - eye
        # Over the left shoulder of who looks.
        sun = away / np.linalg.norm(away) + np.array([-0.35 * away[1], 0.35 * away[0], 0.0]) - (0.0, 0.0, 0.6)
        self.view.scene.set_background(SKY)
        self.view.scene.set_lighting(rendering.Open3DScene.LightingProfile.SOFT_SHADOWS, list(sun))
        self.view.scene.scene.set_sun_light(list(sun), [1.0, 1.0, 1.0], SUN_INTENSITY)
        self.view.scene.scene.set_indirect_light_intensity(SKY_INTENSITY)

    def look(self) -> None:
        """The first view."""
        eye, target = self.stage.orbit()
        self.view.setup_camera(FIELD_OF_VIEW, self.view.scene.bounding_box, target)
        self.view.look_at(target, eye, [0.0, 0.0, 1.0])
        self.view.center_of_rotation = target

    # --- panels ---

    def _make_panel(self) -> Any:
        em = self.window.theme.font_size
        subject = self.playback.subject
        panel = gui.Vert(int(0.25 * em), gui.Margins(int(0.7 * em)))
        panel.background_color = gui.Color(*PANEL)
        title = subject.name or subject.robot.name
        panel.add_child(_label(f"{title}: {subject.robot.name}" if subject.name else title))
        if subject.status is not None:
            panel.add_child(_label(subject.status.value, RED if subject.failed else GREEN))
        for line in textwrap.wrap(subject.message if subject.failed else "", 34):
            panel.add_child(_label(line, RED))
        panel.add_fixed(int(0.4 * em))
        self.switches = {}
        for name in self.playback.visible:
            switch = gui.Checkbox(f"{name} ({KEY_OF[name].upper()})")
            switch.set_on_checked(partial(self._on_switch, name))
            self.switches[name] = switch
            panel.add_child(switch)
        panel.add_fixed(int(0.4 * em))
        self.help = gui.Vert(int(0.15 * em))
        for key, meaning in self.playback.key_help:
            self.help.add_child(_label(f"{key}: {meaning}", QUIET))
        panel.add_child(self.help)
        return panel

    def _make_transport(self) -> Any:
        em = self.window.theme.font_size
        playback = self.playback
        bar = gui.Horiz(int(0.6 * em), gui.Margins(int(0.6 * em), int(0.4 * em), int(0.6 * em), int(0.4 * em)))
        bar.background_color = gui.Color(*PANEL)
        self.play_button = gui.Button("Pause")
        self.play_button.set_on_clicked(lambda: self._do(lambda: playback.play(not playback.playing)))
        self.slider = gui.Slider(gui.Slider.DOUBLE)
        self.slider.set_on_value_changed(self._on_slider)
        self.clock = _label("")
        self.speed = gui.Combobox()
        for speed in SPEEDS:
            self.speed.add_item(f"{speed:g} x")
        self.speed.set_on_selection_changed(lambda _, k: self._do(lambda: playback.set_speed(SPEEDS[k])))
        self.repeat = gui.Checkbox("repeat")
        self.repeat.set_on_checked(lambda on: self._do(lambda: setattr(playback, "repeat", on)))
        self.motion = gui.Combobox()
        for label in playback.subject.labels:
            self.motion.add_item(label)
        self.motion.set_on_selection_changed(lambda _, k: self._do(lambda: playback.choose(k)))
        for widget in (self.play_button, self.slider, self.clock, self.speed, self.repeat, self.motion):
            bar.add_child(widget)
        bar.visible = bool(playback.subject.motions)
        return bar

    def _lay_out(self, context: Any) -> None:
        area = self.window.content_rect
        em = context.theme.font_size
        free = gui.Widget.Constraints()
        low = self.transport.calc_preferred_size(context, free).height if self.transport.visible else 0
        wide = min(int(19 * em), area.width // 3)
        tall = min(self.panel.calc_preferred_size(context, free).height, area.height - low)
        self.view.frame = gui.Rect(area.x, area.y, area.width, area.height - low)
        self.panel.frame = gui.Rect(area.x, area.y, wide, tall)
        self.transport.frame = gui.Rect(area.x, area.get_bottom() - low, area.width, low)
        if not self._placed:  # the view has its size only now
            self._placed = True
            self.look()

    # --- what happens ---

    def _do(self, change: Callable[[], object]) -> None:
        """Make a change to the playback, and show it."""
        change()
        self._refresh()

    def _on_switch(self, name: str, _: bool) -> None:
        self._do(lambda: self.playback.toggle(name))

    def _on_slider(self, value: float) -> None:
        # The slider reports what it was set to as well, rounded to 32 bits.
        if abs(value - self.playback.time) > 1e-3:
            self._do(lambda: self.playback.seek(value))

    def _refresh(self) -> None:
        """Panels and scene as the playback is now."""
        playback = self.playback
        for name, shown in playback.visible.items():
            self.switches[name].checked = shown
        self.help.visible = playback.help
        self.repeat.checked = playback.repeat
        self.speed.selected_index = SPEEDS.index(playback.speed)
        if playback.subject.motions:
            self.motion.selected_index = playback.motion
            self.slider.set_limits(0.0, playback.duration)
        self._refresh_clock()
        self.model.refresh(chosen=playback.motion != self._motion)
        self._motion = playback.motion
        self.window.set_needs_layout()
        self._redraws = REDRAWS

    def _refresh_clock(self) -> None:
        self.slider.double_value = self.playback.time
        self.clock.text = self.playback.clock
        self.play_button.text = "Pause" if self.playback.playing else "Play"

    def _tick(self) -> bool:
        now = time.monotonic()
        elapsed, self._before = now - self._before, now
        self._redraws = max(self._redraws - 1, 0)
        if self.playback.advance(min(elapsed, LONGEST_STEP)) and now - self._moved > self._period:
            self._moved = now
            self._refresh_clock()
            self.model.move()
            return True
        return self.model.color() or self._redraws > 0

    def _on_key(self, event: Any) -> bool:
        if event.type != gui.KeyEvent.Type.DOWN:
            return False
        key = KEY_NAMES.get(event.key) or (chr(event.key) if ord("a") <= event.key <= ord("z") else "")
        if key == "q":
            # A window that closes itself while it is handling an event crashes.
            self.application.post_to_main_thread(self.window, self.window.close)
        elif key == "v":
            self.look()
            self._redraws = REDRAWS
        elif key and self.playback.press(key):
            self._refresh()
        else:
            return False
        return True


def has_graphics_card() -> bool:
    """Whether there is one to draw with; elsewhere than on Linux it is taken for granted."""
    cards = (*Path("/dev/dri").glob("renderD*"), *Path("/dev").glob("nvidiactl"))
    return sys.platform != "linux" or len(cards) > 0


def _label(text: str, color: Color | None = None) -> Any:
    label = gui.Label(text)
    label.text_color = gui.Color(*(color or INK))
    return label
