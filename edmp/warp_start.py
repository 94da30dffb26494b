"""Warp, started: whoever launches kernels takes ``wp`` from here, and nowhere is Warp imported otherwise.

Kernels are compiled once and kept in Warp's cache folder; where that cannot be written, in a temporary one. Warp says
nothing of itself: not on standard output, where a program's own output goes, and not that a machine has no GPU, which
``device="cuda"`` says when it is asked for.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import warp as wp

from edmp.errors import EdmpWarning

__all__ = ["wp"]

_NO_DRIVER = b"Warp CUDA warning: Could not find or load the NVIDIA CUDA driver"


def _start() -> None:
    if hasattr(wp, "LOG_WARNING"):
        wp.config.log_level = wp.LOG_WARNING
    else:  # before warp-lang 1.12
        setattr(wp.config, "quiet", True)  # noqa: B010 (unknown to newer stubs)
    with _without_line(_NO_DRIVER):
        try:
            wp.init()
            _check_writable(Path(str(wp.config.kernel_cache_dir)))
        except OSError as error:
            _keep_kernels_elsewhere(error)


def _keep_kernels_elsewhere(error: OSError) -> None:
    folder = _temporary_folder()
    wp.config.kernel_cache_dir = str(folder)
    wp.init()  # does nothing if it was only the check that failed
    warnings.warn(
        f"compiled kernels go to {folder}, since Warp's cache folder cannot be written ({error}); the environment "
        "variable WARP_CACHE_PATH names another",
        EdmpWarning,
        stacklevel=2,
    )


def _temporary_folder() -> Path:
    """The same for all processes of a user, since compiling takes some ten seconds; a new one if that is not ours."""
    folder = Path(tempfile.gettempdir()) / f"edmp-kernels-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022:
            _check_writable(folder)
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="edmp-kernels-"))


def _check_writable(folder: Path) -> None:
    """Raises OSError if ``folder`` takes no new files."""
    with tempfile.TemporaryFile(dir=folder):
        pass


@contextlib.contextmanager
def _without_line(start: bytes) -> Iterator[None]:
    """Leave out the line that begins so from what compiled code writes on standard error, and pass on all else."""
    try:
        stderr = os.dup(2)
    except OSError:  # closed: nothing to keep quiet
        yield
        return
    try:
        with tempfile.TemporaryFile() as kept:
            os.dup2(kept.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(stderr, 2)
                kept.seek(0)
                for line in kept:
                    if not line.startswith(start):
                        os.write(stderr, line)
    finally:
        os.close(stderr)


_start()
