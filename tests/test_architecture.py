"""The layers of the code, and what importing it costs."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("open3d", "pydrake", "ompl", "torch", "warp", "fcl", "matplotlib", "scipy", "trimesh")


def sources() -> list[Path]:
    return [path for folder in ("edmp", "costs", "robots", "scenes") for path in sorted((ROOT / folder).rglob("*.py"))]


def test_layers() -> None:
    # In a process of its own: it turns off the loggers that there are.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, edmp; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_planner_imports_no_viewer_and_no_baseline() -> None:
    code = "import sys, edmp; edmp.plan; print([m for m in ('open3d', 'meshcat', 'ompl') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_every_public_name_can_be_loaded() -> None:
    import edmp

    for name in edmp.__all__:
        assert getattr(edmp, name) is not None
    with pytest.raises(AttributeError, match=r"public names: .*load_problem"):
        edmp.no_such_name  # noqa: B018


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_imported_by_their_full_name(path: Path) -> None:
    """Never bare ``costs``: a user's own folder of that name would be taken."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            names = [node.module or ""]
        else:
            continue
        assert not {name.split(".")[0] for name in names} & {"costs", "robots", "scenes"}, f"line {node.lineno}"


def test_no_module_needs_itself() -> None:
    """Nowhere do imports go round in a circle, those inside of functions included."""
    modules = {}
    for path in sources():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        modules[name if name.split(".")[0] == "edmp" else f"edmp.{name}"] = path
    sorter = graphlib.TopologicalSorter({name: imported(path, modules) - {name} for name, path in modules.items()})
    sorter.prepare()  # CycleError names the circle


def imported(path: Path, modules: Collection[str]) -> set[str]:
    """The modules of ours that a file imports, other than for type checking."""
    found: set[str] = set()

    def look(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if name in modules else str(node.module) for name in names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        for child in ast.iter_child_nodes(node):
            look(child)

    look(ast.parse(path.read_text()))
    return found & set(modules)


@pytest.mark.parametrize("name", ["World", "Chain", "Query", "Surface", "Stage", "Status", "Record", "Verdict"])
def test_a_name_means_one_thing(name: str) -> None:
    found = [path for path in sources() for node in ast.parse(path.read_text()).body if defined(node) == name]
    assert len({path.resolve() for path in found}) == 1, found


def defined(node: ast.stmt) -> str | None:
    """The class, or alias of a type, that a statement defines; underscores in front do not count."""
    if isinstance(node, ast.ClassDef):
        return node.name.lstrip("_")
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None


@pytest.mark.parametrize(("module", "home"), [("certify", "planner"), ("recording", "recordings")])
def test_a_module_name_means_one_thing(module: str, home: str) -> None:
    assert {path.relative_to(ROOT) for path in sources() if path.stem == module} == {Path(f"edmp/{home}/{module}.py")}
