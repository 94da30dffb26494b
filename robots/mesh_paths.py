"""Where a mesh lies that a description names: package://, model:// and file:// addresses, and plain paths."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote

from edmp.errors import EdmpWarning, FileFormatError, MissingDependencyError
from edmp.files.reading import is_file, is_folder

_INSTALLED = "example-robot-data"


def resolve(uri: str, *, folder: Path | None, packages: Mapping[str, Path], place: str) -> Path:
    """The file that a mesh URI means.

    ``package://NAME/PATH`` (and ``model://``) is looked for under ``packages[NAME]``; in folders called NAME above the
    description file and beside those; in ROS_PACKAGE_PATH, AMENT_PREFIX_PATH, COLCON_PREFIX_PATH and
    GZ_SIM_RESOURCE_PATH; in the Python packages that bring robot data; and, as a package's folder may have been renamed
    when it was downloaded, under every folder above the description file.

    Raises:
        FileFormatError: there is no such file; the message lists where was looked.
    """
    guesses: list[Path] = []
    scheme, separator, rest = uri.partition("://")
    if separator and scheme in ("package", "model"):
        name, _, inner = rest.partition("/")
        candidates = [root / each for root in _roots(name, folder, packages) for each in _spellings(inner)]
        guesses = [above / each for above in _above(folder) for each in _spellings(inner)]
        candidates += guesses
    elif separator and scheme != "file":
        raise FileFormatError(f"{place}: mesh {uri}: {scheme}:// is not read; expected package://, file:// or a path")
    else:
        path = rest.removeprefix("localhost") if separator else uri
        candidates = [folder / each if folder is not None else Path(each) for each in _spellings(path)]
    found = next((candidate for candidate in candidates if is_file(candidate)), None)
    if found is not None:
        if candidates.index(found) >= len(candidates) - len(guesses):
            root = str(found).removesuffix(inner)
            warnings.warn(f"package {name} is taken to be {root}, as it is found nowhere", EdmpWarning, stacklevel=3)
        return found
    if uri.startswith(f"package://{_INSTALLED}/"):
        raise MissingDependencyError(f"{place}: {uri} is in the package {_INSTALLED}: pip install 'edmp[meshes]'")
    looked = ", ".join(dict.fromkeys(map(str, candidates)))
    if separator and scheme != "file" and not _roots(name, folder, packages):
        looked = f"no such package {name}; {looked}" if looked else f"nowhere: no such package {name}"
    raise FileFormatError(
        f"{place}: mesh {uri} not found (looked at: {looked}){_other_case(candidates)}; give packages={{name: folder}}"
        " or set ROS_PACKAGE_PATH"
    )


def _spellings(path: str) -> Iterable[str]:
    """The path as written; as a URI would spell it; and with the separators of Windows turned round."""
    return dict.fromkeys((path, unquote(path), path.replace("\\", "/")))


def _above(folder: Path | None) -> tuple[Path, ...]:
    return () if folder is None else (folder, *folder.parents)[:4]


def _roots(name: str, folder: Path | None, packages: Mapping[str, Path]) -> list[Path]:
    """Folders that may be the package, the likeliest first."""
    roots = [Path(packages[name])] if name in packages else []
    for above in (folder, *folder.parents) if folder is not None else ():
        roots += [above] if above.name == name else []
        roots += [above / name] if is_folder(above / name) else []
    for entry in _path_variable("ROS_PACKAGE_PATH") + _path_variable("GZ_SIM_RESOURCE_PATH"):
        inside = (
            [folder / name for folder in entry.iterdir()] if is_folder(entry) else []
        )  # a workspace of repositories
        roots += [entry / name, *([entry] if entry.name == name else []), *filter(is_folder, inside)]
    for prefix in _path_variable("AMENT_PREFIX_PATH") + _path_variable("COLCON_PREFIX_PATH"):
        roots += [prefix / "share" / name, prefix / name / "share" / name]
    inner = ("cmeel.prefix/share/" + name, name.replace("-", "_"))
    roots += [root for entry in sys.path if entry for each in inner if is_folder(root := Path(entry) / each)]
    return roots


def _path_variable(name: str) -> list[Path]:
    return [Path(entry) for entry in os.environ.get(name, "").split(os.pathsep) if entry]


def _other_case(candidates: Iterable[Path]) -> str:
    """A hint at a file whose name differs by upper and lower case only, as names that come from Windows do."""
    for candidate in candidates:
        try:
            for other in candidate.parent.iterdir():
                if other.name.lower() == candidate.name.lower():
                    return f"; there is {other}"
        except (OSError, ValueError):
            continue
    return ""
