"""Planes of two task parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .plot_style import log_scale
from .run_data import Axis


def frame_axes(panel: Any, axes: Sequence[Axis], bottom: bool, left: bool) -> None:
    """Bounds, scales and names of two task parameters."""
    for axis, name in zip(axes, "xy", strict=True):
        if axis.is_log:
            log_scale(panel, name)
        ends = axis.from_unit(np.array([-0.02, 1.02]))
        getattr(panel, f"set_{name}lim")(*ends)
    panel.grid(False)
    panel.set_xlabel(axes[0].label if bottom else "")
    panel.set_ylabel(axes[1].label if left else "")


def value_range(values: Sequence[np.ndarray]) -> tuple[float, float]:
    everything = np.concatenate([np.ravel(v) for v in values])
    low, high = float(np.min(everything)), float(np.max(everything))
    return low, high if high > low else low + 1.0


def plane(task: np.ndarray, axes: Sequence[Axis]) -> tuple[np.ndarray, np.ndarray]:
    return task[:, axes[0].index], task[:, axes[1].index]
