"""Choosing devices and the compilation cache, before JAX wakes up."""

import contextlib
import os
from pathlib import Path

from ..envs.errors import MissingExtraError
from .errors import ResourceError

CACHE_VARIABLE = "PALAESTRA_CACHE"
PLATFORMS = {"cpu": "cpu", "gpu": "cuda,rocm", "tpu": "tpu"}


def prepare_jax(device: str = "auto", num_cpu_devices: int | None = None, device_per_core: bool = False) -> None:
    """Applies `--device` and `--devices` and turns on the persistent compilation cache.

    Args:
      device: auto, cpu, gpu or tpu.
      num_cpu_devices: parts the CPU is shown as.
      device_per_core: without `num_cpu_devices`, one part per core; what is running already is left as it is.

    Raises:
      MissingExtraError: no such device.
      ResourceError: `num_cpu_devices` asked for after JAX has started.
    """
    import jax

    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    if num_cpu_devices is not None:
        try:
            jax.config.update("jax_num_cpu_devices", num_cpu_devices)
        except RuntimeError:
            raise ResourceError("--devices comes too late: JAX is already running in this process") from None
    elif device_per_core:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", usable_cores())
    enable_compilation_cache()
    try:
        jax.devices(None if device == "auto" else device)
    except RuntimeError:
        raise MissingExtraError(
            f"no such device: --device {device}; got {jax.default_backend()}",
            hint=f"Install JAX for {device}, or use --device auto.",
            key="--device",
        ) from None


def usable_cores() -> int:
    """Cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def enable_compilation_cache() -> Path | None:
    """Turns on JAX's persistent compilation cache; returns its folder, None where it cannot be written.

    The folder is `$PALAESTRA_CACHE/jax`, by default `~/.cache/palaestra/jax`; PALAESTRA_CACHE="" turns the cache off.
    """
    import jax

    folder = cache_folder()
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    return folder


def cache_folder() -> Path | None:
    """Where compiled programs are kept; None when the cache is turned off."""
    base = os.environ.get(CACHE_VARIABLE)
    if base == "":
        return None
    return (Path(base) if base else Path.home() / ".cache" / "palaestra") / "jax"
