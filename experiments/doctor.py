"""Examining an installation: versions, devices, optional packages, places to write."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .backend import cache_folder
from .run_folder import versions

# module: (extra, what it is for)
EXTRAS = {
    "stable_baselines3": ("sb3", "training palaestra environments with Stable-Baselines3"),
    "torch": ("sb3", "the same"),
    "Box2D": ("box2d", "parity and speed comparisons of the walker"),
    "gymnasium_robotics": ("robotics", "its mazes, hands and kitchens; parity of ours"),
    "pyarrow": ("arrow", "data sets in Minari's arrow storage"),
    "pygame": ("human", "render_mode='human'"),
    "sphinx": ("docs", "building the documentation"),
    "pytest": ("test", "running the tests"),
    "hypothesis": ("test", "running the tests"),
}
MIN_FREE_BYTES = 1 << 30


def examine() -> dict[str, dict[str, str]]:
    """Findings by title; everything under "faults" keeps something from working."""
    import jax

    devices = {str(device.id): f"{device.platform} {device.device_kind}" for device in jax.devices()}
    extras = {module: _extra(module, *what) for module, what in EXTRAS.items()}
    places, faults = _places()
    return {
        "versions": versions(),
        "devices": devices,
        "extras": extras,
        "places": places,
        "tools": {"ffmpeg": _ffmpeg()},
        "faults": faults,
    }


def _extra(module: str, extra: str, purpose: str) -> str:
    if importlib.util.find_spec(module) is not None:
        return "installed"
    return f'missing, for {purpose}: pip install "palaestra[{extra}]"'


def _places() -> tuple[dict[str, str], dict[str, str]]:
    cache, here = cache_folder(), Path.cwd()
    places = {"compilation cache": str(cache or "off"), "runs": str(here / "runs"), "python": sys.executable}
    faults = {}
    if not os.access(here, os.W_OK):
        faults["runs"] = f"{here} cannot be written; give --run-dir"
    free = shutil.disk_usage(here).free
    places["free disk"] = f"{free / 2**30:.1f} GiB"
    if free < MIN_FREE_BYTES:
        faults["free disk"] = f"{free} bytes free; expected at least {MIN_FREE_BYTES}"
    return places, faults


def _ffmpeg() -> str:
    try:
        import imageio_ffmpeg

        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-version"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (ImportError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        return f"missing ({type(error).__name__}); `record` can still write .gif"
    return done.stdout.split(" Copyright")[0]
