"""The page in a browser: what is in it, and, in a real Chromium, what it shows and what its controls do."""

from __future__ import annotations

import base64
import dataclasses
import http.client
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plan_cases import every_shape, failed, solved

from edmp.cli import main
from edmp.errors import InvalidInputError, UnknownNameError
from edmp.planfile import PlanFile, save_plan
from edmp.problem import Problem, load_example
from edmp.result import Status
from edmp.scenes import Box, Scene
from edmp.viz.staging import Staging
from edmp.viz.subject import subject_of
from edmp.viz.surfaces import body_poses, scene_surfaces
from edmp.viz.web import page_of, save_page, serve
from edmp.viz.web_scene import mesh_document, scene_document

FLAGS = (
    "--headless=new --no-sandbox --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--force-prefers-reduced-motion --window-size=800,700"
)
"""WebGL in software, no network, and no motion before it is asked for."""
MESSAGE = 'panda_hand is 12 mm inside "board_middle" </script><b>'


def plan() -> PlanFile:
    """A motion and an alternative that goes farther, in the bookshelf."""
    problem = load_example("bookshelf")
    result = solved(problem)
    farther = solved(dataclasses.replace(problem, goal=np.asarray(problem.goal) - 0.3)).best
    assert farther is not None
    return PlanFile(problem, dataclasses.replace(result, alternatives=(farther,)))


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("web") / "plan.json"
    made = plan()
    save_plan(path, made.problem, made.result)
    return path


# --- without a browser -----------------------------------------------------------------------------------------------


def test_a_mesh_in_the_page_has_the_triangles_of_the_surface() -> None:
    for surface in scene_surfaces(every_shape(), [(0.2, 0.4, 0.6)] * 5):
        document = mesh_document(surface)
        positions, normals, shades, index = (
            np.frombuffer(base64.b64decode(document[key]), dtype=kind)
            for key, kind in (("positions", "<f4"), ("normals", "i1"), ("shades", "<u2"), ("index", "<u4"))
        )
        np.testing.assert_allclose(
            positions.reshape(-1, 3)[index.reshape(-1, 3)], surface.vertices[surface.faces], atol=1e-6
        )
        assert surface.normals is not None
        np.testing.assert_allclose(
            normals.reshape(-1, 3)[index.reshape(-1, 3)] / 127, surface.normals, atol=0.5 / 127 + 1e-9
        )
        np.testing.assert_allclose(np.array(document["palette"])[shades], [[0.2, 0.4, 0.6]] * len(shades))


def test_the_document_says_what_the_plan_says() -> None:
    made = plan()
    document = scene_document(Staging(subject_of(made), "hulls"))
    assert [obstacle["name"] for obstacle in document["obstacles"]] == list(made.problem.scene.names)
    assert document["robot"]["links"][0]["name"] == "panda_link0"
    best, other = document["motions"]
    assert best["label"].startswith("best: ")
    assert other["label"].startswith("alternative 1: ")
    np.testing.assert_allclose(best["positions"][-1], made.problem.goal, atol=1e-6)
    json.dumps(document, allow_nan=False)


def test_the_document_has_the_regions_where_they_are() -> None:
    scene = Scene.of({"box": (Box((0.1, 0.1, 0.1)), (0.6, 0.0, 0.1))}).with_region(
        "tray", (0.2, 0.4, 0.1), (0.5, 0.1, 0.3)
    )
    document = scene_document(Staging(subject_of(scene), "hulls"))
    (region,) = document["regions"]
    assert region["name"] == "tray"
    mesh = document["meshes"][region["mesh"]]
    corners = np.frombuffer(base64.b64decode(mesh["positions"]), "<f4").reshape(-1, 3)
    np.testing.assert_allclose(
        [corners.min(axis=0), corners.max(axis=0)], [[0.4, -0.1, 0.25], [0.6, 0.3, 0.35]], atol=1e-6
    )
    assert [obstacle["name"] for obstacle in document["obstacles"]] == ["box"]


def test_a_robot_alone_and_a_scene_have_no_motions() -> None:
    for source in (load_example("bookshelf").robot, every_shape()):
        document = scene_document(Staging(subject_of(source), "hulls"))
        assert document["motions"] == []
        assert document["standing"] is not None
        assert document["status"] == ""


def test_names_in_a_page_cannot_end_its_script() -> None:
    page = page_of(subject_of(PlanFile(load_example("bookshelf"), failed(message=MESSAGE))), geometry="hulls")
    assert "</script><b>" not in page
    assert "\\u003c/script>" in page


def test_save_page_refuses_what_is_no_page(tmp_path: Path, plan_file: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"must end in \.html"):
        save_page(plan_file, tmp_path / "page.png")
    with pytest.raises(UnknownNameError, match="unknown geometry 'wire'"):
        save_page(plan_file, tmp_path / "page.html", geometry="wire")
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInputError, match=f"port {port} is taken"):
            serve(subject_of(every_shape()), port=port)
    with pytest.raises(InvalidInputError, match="from 1024 to 65535, got 80"):
        serve(subject_of(every_shape()), port=80)


HOSTS = {
    "localhost": 200, "localhost:{port}": 200, "LOCALHOST:{port}": 200, "127.0.0.1": 200, "127.0.0.1:{port}": 200,
    "127.8.9.1:{port}": 200, "[::1]": 200, "[::1]:{port}": 200,
    "rebound.example": 403, "rebound.example:{port}": 403, "localhost.rebound.example:{port}": 403,
    "127.0.0.1.rebound.example": 403, "192.168.1.7:{port}": 403, "0.0.0.0:{port}": 403, "[::2]:{port}": 403,
    "::1": 403, "user@localhost": 403, "localhost:{port}, rebound.example": 403, "": 403,
}  # fmt: skip
"""Host headers, and the answers to them: a page elsewhere may have its own name resolve to this machine."""


def answers(port: int, hosts: list[list[str]], path: str = "/") -> list[int]:
    """The status of the answer to a request with each list of Host headers."""
    found = []
    for some in hosts:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.putrequest("GET", path, skip_host=True)
        for host in some:
            connection.putheader("Host", host)
        connection.endheaders()
        response = connection.getresponse()
        found.append(response.status)
        assert (b"edmp-scene" in response.read()) == (response.status == 200)
        connection.close()
    return found


def test_only_names_of_this_machine_are_answered() -> None:
    asked: list[int] = []

    def ready(address: str) -> None:
        port = int(address.rstrip("/").rpartition(":")[2])

        def ask() -> None:
            try:
                asked.extend(answers(port, [[host.format(port=port)] for host in HOSTS]))
                asked.extend(answers(port, [[], ["localhost", "rebound.example"]]))
            finally:
                signal.raise_signal(signal.SIGINT)  # to the main thread, which serves

        threading.Thread(target=ask, daemon=True).start()

    serve(subject_of(load_example("bookshelf")), port=0, geometry="hulls", ready=ready)
    assert asked == [*HOSTS.values(), 403, 403]


# --- the command -----------------------------------------------------------------------------------------------------


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)


def test_view_writes_a_page(tmp_path: Path, plan_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("view", plan_file, "--html", tmp_path / "page.html", "--geometry", "hulls") == 0
    assert str(tmp_path / "page.html") in capsys.readouterr().out
    assert "edmp-scene" in (tmp_path / "page.html").read_text()


def test_view_puts_the_robot_where_q_says(tmp_path: Path) -> None:
    scene = tmp_path / "empty.yaml"
    scene.write_text("edmp_scene: 1\nobstacles: {}\n")
    q = "0.1 -0.8 0 -2.4 0 1.6 0.8"
    for given, expected in ((q, [float(word) for word in q.split()]), ("home", load_example("bookshelf").robot.home)):
        assert run("view", scene, "--robot", "panda", "--q", given, "--html", tmp_path / "p.html") == 0
        found = re.search(r'"edmp-scene" type="application/json">(.*)</script>', (tmp_path / "p.html").read_text())
        assert found
        np.testing.assert_allclose(json.loads(found[1])["standing"], expected)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("none.json", "--web"), "none.json: no such plan file"),
        (("none.yaml", "--web"), "none.yaml: no such file"),
        (("nothing", "--web"), "unknown example 'nothing'; valid: bin"),
        (("other.json", "--web"), "other.json: not a plan file"),
        (("scene.yaml", "--q", "0 0 1", "--web"), "--q for panda: expected 7 numbers, got 3"),
        (("scene.yaml", "--robot", "pandda", "--web"), "unknown robot 'pandda'"),
        (("scene.yaml", "--port", "7001"), "--port belongs to --web"),
        (("scene.yaml", "--html", "a.html", "--web"), "either --web or --html"),
        (("other.json", "--q", "home", "--web"), "a plan file says its robot"),
        (("scene.yaml",), "no screen to open a window on"),
    ],
)
def test_view_says_what_is_wrong(
    arguments: tuple[str, ...],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    Path("scene.yaml").write_text("edmp_scene: 1\nobstacles: {}\n")
    Path("other.json").write_text("{}")
    assert run("view", *arguments) == 2
    assert complaint in capsys.readouterr().err


def test_plan_web_shows_the_plan_after_its_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = load_example("bookshelf")
    shown: list[Any] = []
    monkeypatch.setattr("edmp.cli.plan.solve", lambda _problem, **_options: solved(problem))
    monkeypatch.setattr("edmp.viz.web.serve", lambda subject, **_options: shown.append(subject))
    assert run("plan", "--scene", "bookshelf", "--web") == 0
    assert "SOLVED" in capsys.readouterr().out
    (subject,) = shown
    assert subject.name == "bookshelf"
    assert len(subject.motions) == 2


def test_plan_view_says_before_planning_that_there_is_no_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("edmp.cli.plan.solve", lambda *_: pytest.fail("planned"))
    assert run("plan", "--scene", "bookshelf", "--view") == 2
    assert "--web shows the same in a browser" in capsys.readouterr().err


# --- in a real browser -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("no Chromium here: apt-get install -y chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    driver.set_page_load_timeout(200)
    driver.set_script_timeout(100)
    yield driver
    driver.quit()


class Page:
    """A loaded page."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        driver.get_log("browser")  # what an earlier page said
        driver.get(address)
        assert driver.execute_script("return edmp.state.ready")
        driver.execute_script("edmp.show = (name) => viewer.scene_tree.find(['edmp', ...name]).object;")

    def ask(self, expression: str, *arguments: object) -> Any:
        return self.driver.execute_script(f"return {expression}", *arguments)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def picture(self) -> np.ndarray:
        """(height, width, 3) what is seen once all is drawn, without the panels: every pixel is the viewer's."""
        from PIL import Image

        self.driver.execute_async_script(
            "const done = arguments[0];"
            "for (const panel of document.querySelectorAll('.edmp, .dg')) panel.style.visibility = 'hidden';"
            "requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(() => done())));"
        )
        image = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        self.driver.execute_script(
            "for (const panel of document.querySelectorAll('.edmp, .dg')) panel.style.visibility = '';"
        )
        return np.asarray(image, dtype=np.int64)

    def switch(self, name: str) -> None:
        self.ask("document.querySelector(`input[name='${arguments[0]}']`).click()", name)

    def pose(self, *name: str) -> np.ndarray:
        """(4, 4) of an object in the scene, in the frame of edmp's world."""
        columns = self.ask(
            "(() => { const object = edmp.show(arguments[0]), root = edmp.show([]);"
            "  object.updateWorldMatrix(true, false);"
            "  return root.matrixWorld.clone().invert().multiply(object.matrixWorld).toArray(); })()",
            name,
        )
        return np.array(columns).reshape(4, 4).T

    def pixel(self, *name: str) -> tuple[int, int]:
        """Row and column of the middle of an object's box."""
        column, row = self.ask(
            "(() => { const object = edmp.show(arguments[0]);"
            "  const box = new MeshCat.THREE.Box3().setFromObject(object);"
            "  const at = box.getCenter(new MeshCat.THREE.Vector3()).project(viewer.camera);"
            "  return [(at.x + 1) / 2 * innerWidth, (1 - at.y) / 2 * innerHeight]; })()",
            name,
        )
        return int(row), int(column)


def poses_at(problem: Problem, q: np.ndarray) -> dict[str, np.ndarray]:
    X_WB = body_poses(problem.robot, np.atleast_2d(q))[0]
    return {link.name: X_WB[link.body] for link in problem.robot.links if link.hulls_B}


def assert_robot_at(page: Page, problem: Problem, q: np.ndarray, name: str = "robot") -> None:
    for link, X_WL in poses_at(problem, q).items():
        if name == "robot" or link != "panda_link0":
            np.testing.assert_allclose(page.pose(name, link), X_WL, atol=1e-5, err_msg=f"{name}/{link}")


@pytest.fixture(scope="module")
def page_file(plan_file: Path) -> Path:
    path = plan_file.with_name("plan.html")
    save_page(plan_file, path, geometry="hulls")
    return path


@pytest.fixture
def page(browser: Any, page_file: Path) -> Page:
    """The page from a file, loaded anew."""
    return Page(browser, page_file.as_uri())


def test_the_page_loads_without_complaints_and_without_network(page: Page) -> None:
    assert page.complaints() == []
    fetched = page.ask("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []
    assert page.ask("document.title") == "bookshelf - edmp"
    assert page.ask("document.getElementById('edmp-status').textContent") == "SOLVED"


def test_robot_ghosts_and_every_obstacle_stand_where_they_should(page: Page) -> None:
    made = plan()
    page.ask("edmp.set_time(0)")
    motion = made.result.trajectory
    assert motion is not None
    assert_robot_at(page, made.problem, motion.positions[0])
    assert_robot_at(page, made.problem, motion.positions[0], "start")
    assert_robot_at(page, made.problem, motion.positions[-1], "goal")
    for obstacle in made.problem.scene:
        low, high = page.ask(
            "(() => { const geometry = edmp.show(['obstacles', arguments[0], '<object>']).geometry;"
            "  geometry.computeBoundingBox(); const box = geometry.boundingBox;"
            "  return [box.min.toArray(), box.max.toArray()]; })()",
            obstacle.name,
        )
        points = scene_surfaces(type(made.problem.scene)((obstacle,)), [(1, 1, 1)])[0].vertices
        np.testing.assert_allclose([low, high], [points.min(axis=0), points.max(axis=0)], atol=1e-5)


def test_the_robot_is_seen_where_its_links_are(page: Page) -> None:
    page.ask("edmp.set_time(0.7)")
    others = ("start", "goal", "obstacles", "tool path")
    for name in others:
        page.switch(name)
    seen = page.picture()
    page.switch("robot")
    gone = page.picture()
    changed = np.abs(seen - gone).max(axis=-1) > 6
    assert 0.01 < changed.mean() < 0.5
    for link in poses_at(plan().problem, plan().problem.start):
        row, column = page.pixel("robot", link)
        assert changed[row - 2 : row + 3, column - 2 : column + 3].mean() > 0.5, (
            f"{link} is not seen at row {row}, column {column}"
        )
    page.switch("robot")
    for name in others:
        before = page.picture()
        page.switch(name)
        assert (np.abs(page.picture() - before).max(axis=-1) > 20).sum() > 100, f"{name} is not seen"


def test_the_slider_moves_the_robot(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    made = plan()
    motion = made.result.trajectory
    assert motion is not None
    slider = page.driver.find_element("id", "edmp-time")
    slider.send_keys(Keys.HOME)
    assert page.ask("edmp.state.time") == 0
    first = page.picture()
    slider.send_keys(Keys.END)
    assert page.ask("edmp.state.time") == pytest.approx(motion.times[-1], abs=1e-3)
    last = page.picture()
    end = np.array([np.interp(page.ask("edmp.state.time"), motion.times, q) for q in motion.positions.T])
    assert_robot_at(page, made.problem, end)
    row, column = page.pixel("robot", "panda_hand")
    assert np.abs(last - first).max(axis=-1)[row, column] > 20
    assert (np.abs(last - first).max(axis=-1) > 20).mean() > 0.005
    page.ask("edmp.set_time(0.777)")  # between two samples
    between = np.array([np.interp(0.777, motion.times, q) for q in motion.positions.T])
    assert_robot_at(page, made.problem, between)


def test_play_plays_and_pauses(page: Page) -> None:
    page.ask("edmp.set_time(0)")
    button = page.driver.find_element("id", "edmp-play")
    assert button.text == "Play"
    button.click()
    assert button.text == "Pause"
    for _ in range(200):
        page.picture()
        if page.ask("edmp.state.time") > 0:
            break
    button.click()
    stopped = page.ask("edmp.state.time")
    assert stopped > 0
    page.picture()
    assert page.ask("edmp.state.time") == stopped


def test_an_alternative_can_be_chosen(page: Page) -> None:
    from selenium.webdriver.support.select import Select

    made = plan()
    choice = Select(page.driver.find_element("id", "edmp-motion"))
    assert [option.text.split(":")[0] for option in choice.options] == ["best", "alternative 1"]
    choice.select_by_index(1)
    assert_robot_at(page, made.problem, made.result.alternatives[0].path[-1], "goal")
    choice.select_by_index(0)
    assert_robot_at(page, made.problem, np.asarray(made.problem.goal), "goal")


def test_spheres_boxes_and_swept_volume_appear_when_asked_for(page: Page) -> None:
    page.ask("edmp.set_time(0.5)")
    for name in ("spheres", "boxes", "swept volume"):
        before = page.picture()
        page.switch(name)
        assert (np.abs(page.picture() - before).max(axis=-1) > 10).mean() > 0.005, f"{name} are not seen"
        page.switch(name)
        assert (np.abs(page.picture() - before).max(axis=-1) > 10).mean() < 1e-4, f"{name} stay"
    assert page.complaints() == []


def test_a_failed_plan_shows_its_message_and_what_is_at_fault_in_red(browser: Any, tmp_path: Path) -> None:
    problem = load_example("bookshelf")
    made = PlanFile(problem, failed(Status.GOAL_IN_COLLISION, MESSAGE))
    save_page(made, tmp_path / "failed.html", geometry="hulls")
    page = Page(browser, (tmp_path / "failed.html").as_uri())
    assert page.complaints() == []
    assert page.ask("document.getElementById('edmp-status').textContent") == "GOAL_IN_COLLISION"
    assert page.ask("document.getElementById('edmp-message').textContent") == MESSAGE
    assert page.ask("document.getElementById('edmp-transport').hidden")
    assert_robot_at(page, problem, problem.start)
    assert_robot_at(page, problem, np.asarray(problem.goal), "goal")

    def red(image: np.ndarray) -> np.ndarray:
        return image[..., 0] > 2 * image[..., 1:].max(axis=-1)

    page.switch("obstacles")
    hand_only = red(page.picture())
    row, column = page.pixel("goal", "panda_hand")
    assert hand_only[row - 3 : row + 4, column - 3 : column + 4].any()
    page.switch("obstacles")
    assert red(page.picture()).sum() > hand_only.sum() + 500
    page.switch("goal")
    page.switch("obstacles")
    assert red(page.picture()).sum() < 20


def test_view_web_serves_the_page_until_ctrl_c(browser: Any, plan_file: Path) -> None:
    command = [sys.executable, "-m", "edmp", "view", str(plan_file), "--web", "--port", "0", "--no-browser"]
    process = subprocess.Popen([*command, "--geometry", "hulls"], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        addresses = (re.search(r"http://localhost:\d+/", line) for line in process.stderr)
        address = next(found[0] for found in addresses if found)
        page = Page(browser, address)
        assert page.complaints() == []
        assert page.ask("document.getElementById('edmp-transport').hidden") is False
        page.ask("edmp.set_time(1.0)")
        motion = plan().result.trajectory
        assert motion is not None
        middle = np.array([np.interp(1.0, motion.times, q) for q in motion.positions.T])
        assert_robot_at(page, plan().problem, middle)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
