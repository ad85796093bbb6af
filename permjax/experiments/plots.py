"""How all figures look: small panels that are read on a phone and stand side by side on a desk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imsave

SERIES: Final = ("#d55e00", "#0072b2", "#000000", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), told apart with every common colour
blindness; the three ways are the first three, and differ in their line as well."""
LINES: Final = ("--", "-.", "-", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))


@contextmanager
def panel(path: Path, height: float = 3.0) -> Iterator[Axes]:
    """Axes to draw on, 4 inches wide and `height` high, saved as PNG when they are done."""
    figure = Figure(figsize=(4.0, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(labelsize=8)
    yield axes
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)


def save_pixels(path: Path, image: np.ndarray, least_side: int = 256) -> None:
    """An image `[H, W, 3]`, in 0..1 or uint8, as PNG of whole pixels, enlarged to be seen."""
    if image.dtype != np.uint8:
        image = np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
    times = -(-least_side // min(image.shape[:2]))
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, image.repeat(times, axis=0).repeat(times, axis=1))
