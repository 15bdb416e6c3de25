"""GIF and MP4 files, written whole or not at all."""

import contextlib
import itertools
import os
import uuid
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .files import TEMPORARY, sync_directory, sync_file

FORMATS = (".gif", ".mp4")
PALETTE_FRAMES = 8
LAST_FRAME_SECONDS = 1.5  # a GIF rests on its last frame before it starts again


def write_movie(path: Path | str, frames: Iterable[np.ndarray], fps: float) -> Path:
    """Writes frames as a GIF (endless) or an MP4 (H.264), by the suffix of `path`.

    Args:
      frames: uint8 (height, width, 3), all of one size, at least one; taken one at a time.
      fps: frames per second; a GIF's clock has steps of 10 ms.

    Raises:
      ValueError: another suffix, no frames, frames that are not alike, or an fps that is not positive.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"path={str(path)!r}; expected a name that ends in one of {list(FORMATS)}")
    if not fps > 0:
        raise ValueError(f"fps={fps}; expected more than 0")
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError("frames: got none; expected at least one")
    checked = (_check(frame, first.shape) for frame in itertools.chain([first], frames))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:8]}-{path.name}")  # the suffix tells the format
    try:
        (_write_gif if path.suffix == ".gif" else _write_mp4)(temporary, checked, fps)
        sync_file(temporary)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    return path


def _write_gif(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """One palette for all frames, made from a few of them: colours that flicker double the size."""
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    chosen = np.unique(np.linspace(0, len(images) - 1, PALETTE_FRAMES).round().astype(int))
    palette = Image.fromarray(np.concatenate([np.asarray(images[i]) for i in chosen])).quantize(256)
    indexed = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    duration = [max(20, round(1000 / fps))] * (len(indexed) - 1) + [round(1000 * LAST_FRAME_SECONDS)]
    indexed[0].save(path, save_all=True, append_images=indexed[1:], duration=duration, loop=0, optimize=False)


def _write_mp4(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    import imageio.v2 as imageio

    writer: Any = imageio.get_writer(path, fps=fps, codec="libx264", macro_block_size=1, quality=8)
    with warnings.catch_warnings(), writer:
        # JAX warns of every fork; this one becomes ffmpeg at once.
        warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
        for frame in frames:
            writer.append_data(np.pad(frame, [(0, n % 2) for n in frame.shape[:2]] + [(0, 0)], mode="edge"))


def _check(frame: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != shape:
        raise ValueError(f"frame: got {frame.dtype}{list(frame.shape)}; expected uint8{[*shape[:2], 3]}")
    return frame
