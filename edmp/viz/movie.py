"""`save_movie`: the timed motion, played."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.errors import InvalidInputError, MissingDependencyError
from edmp.files.writing import check_writable, written_whole
from edmp.ranges import Range, check_fields
from edmp.viz.renderers import renderer_by_name
from edmp.viz.setting import takes_setting
from edmp.viz.shot import Renderer
from edmp.viz.staging import Staging
from edmp.viz.subject import Subject, Viewable, subject_of

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Called with the number of frames drawn, and of all."""

log = logging.getLogger(__name__)

MOVIES = (".mp4", ".gif")
HOLD = 0.6
"""How long the first and the last frame stand [s]."""


@dataclasses.dataclass(frozen=True)
class Clip:
    """How a movie plays.

    Attributes:
        fps: frames a second.
        size: (width, height) [pixels].
        speed: motion time per movie time: 1 is real time, 0.5 slow motion.
    """

    fps: float = 25.0
    size: tuple[int, int] = (960, 720)
    speed: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, {"fps": Range(1, 100), "speed": Range(0, 100, above=True)})
        if len(self.size) != 2 or not all(isinstance(n, int) and 64 <= n <= 4096 for n in self.size):
            raise InvalidInputError(f"size must be two whole numbers of pixels from 64 to 4096, got {self.size!r}")

    def times(self, duration: float) -> Array:
        """(n,) the time in the motion that each frame shows [s]; the last is ``duration``."""
        step = self.speed / self.fps
        return np.minimum(np.arange(int(np.ceil(duration / step)) + 1) * step, duration)


@takes_setting
@checked
def save_movie(
    source: Viewable | Subject,
    path: str | Path,
    *,
    motion: int = 0,
    fps: float = 25.0,
    size: tuple[int, int] = (960, 720),
    speed: float = 1.0,
    geometry: str = "auto",
    show: Collection[str] = (),
    renderer: str | Renderer | None = None,
    azimuth: float | None = None,
    elevation: float | None = None,
    progress: Progress | None = None,
) -> None:
    """Film a motion: the arm moves in its own time among the obstacles, start and goal stand by pale, with the tool's
    path.

    Args:
        source: a result, a plan file or what `edmp.viz.subject_of` makes.
        path: of the movie, .mp4 or .gif.
        motion: which motion: 0 is the best, then the alternatives.
        fps, size, speed: see `Clip`.
        geometry, show, renderer, azimuth, elevation: see `save_image`.
        progress: called after every frame.

    Raises:
        InvalidInputError: there is no motion, an option is out of range, or the file cannot be written.
        UnknownNameError: no such geometry, overlay or renderer.
        MissingDependencyError: what was asked for is not installed, or there is nothing to write an .mp4 with.
    """
    path = check_writable(path, "movie", suffixes=MOVIES)
    clip = Clip(fps, size, speed)
    subject = subject_of(source)
    if not subject.motions:
        why = f": {subject.message}" if subject.failed else ""
        raise InvalidInputError(f"there is no motion to film{why}; save_image shows how things stand")
    stage = Staging(subject.choosing(motion), geometry, show, azimuth, elevation, size)
    frames = film(stage, clip, renderer_by_name(renderer), progress)
    write_movie(path, frames, fps=fps, size=size)


def film(
    stage: Staging, clip: Clip, renderer: Renderer, progress: Progress | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Frames (height, width, 3) of the motion in front, the first and the last repeated for a moment."""
    trajectory = stage.subject.motions[0]
    times = clip.times(trajectory.duration)
    hold = round(HOLD * clip.fps)
    view = renderer.open(stage.motion())
    try:
        for k, q in enumerate(trajectory.at(times)):
            bodies, X_WB = stage.bodies(q)
            image = view.frame(X_WB, bodies if "clearance" in stage.show else None)
            frame = np.round(255 * image).astype(np.uint8)
            for _ in range(hold if k in (0, len(times) - 1) else 1):
                yield frame
            if progress is not None:
                progress(k + 1, len(times))
    finally:
        view.close()


# --- files -----------------------------------------------------------------------------------------------------------


def write_movie(path: Path, frames: Iterable[NDArray[np.uint8]], *, fps: float, size: tuple[int, int]) -> None:
    """Frames (height, width, 3) as .gif or .mp4, by the ending of ``path``; whole or not at all.

    Raises:
        MissingDependencyError: an .mp4 needs ffmpeg, and there is none.
        InvalidInputError: it cannot be written.
    """
    write = {".gif": _write_gif, ".mp4": _write_mp4}[path.suffix.lower()]
    with written_whole(path) as temporary:
        write(temporary, frames, fps, size)


def _write_gif(path: Path, frames: Iterable[NDArray[np.uint8]], fps: float, size: tuple[int, int]) -> None:
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    # One palette for all, from the first and middle frames: palettes of their own would make still things flicker.
    sample = Image.new("RGB", (size[0], 3 * size[1]))
    for k, image in enumerate((images[0], images[len(images) // 2], images[-1])):
        sample.paste(image, (0, k * size[1]))
    palette = sample.quantize(255, dither=Image.Dither.NONE)
    indexed = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    # The format counts in hundredths of a second, and viewers slow down what is faster than two of them.
    duration = max(20, 10 * round(100 / fps))
    indexed[0].save(path, save_all=True, append_images=indexed[1:], duration=duration, loop=0, optimize=False)


def ffmpeg() -> str:
    """The program that writes .mp4 files.

    Raises:
        MissingDependencyError: there is none.
    """
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        found = shutil.which("ffmpeg")
    if found is None:
        raise MissingDependencyError(
            "an .mp4 needs ffmpeg: pip install 'edmp[viz]' (or apt install ffmpeg); a .gif needs nothing"
        )
    return found


def _write_mp4(path: Path, frames: Iterable[NDArray[np.uint8]], fps: float, size: tuple[int, int]) -> None:
    width, height = size
    # H.264 in 4:2:0 wants even sizes: a white row or column is added where need be.
    command = [
        ffmpeg(), "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
        "-r", f"{fps:g}", "-i", "-", "-an", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white", "-c:v", "libx264",
        "-pix_fmt", "yuv420p", "-crf", "20", "-movflags", "+faststart", str(path),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    pipe: IO[bytes] = process.stdin  # type: ignore[assignment]
    try:
        for frame in frames:
            pipe.write(frame.tobytes())
    except BrokenPipeError:
        pass  # it says why below
    except BaseException:
        process.kill()
        process.communicate()
        raise
    _, complaint = process.communicate()
    if process.returncode != 0:
        raise InvalidInputError(f"ffmpeg could not write the movie: {complaint.decode(errors='replace').strip()}")
