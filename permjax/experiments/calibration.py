"""Whether probabilities of cloud mean what they say."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from permjax.classes import CLOUD, CloudClass
from permjax.data import Batch
from permjax.experiments.parts import finite
from permjax.experiments.plots import LINES, SERIES, panel
from permjax.experiments.predicting import See
from permjax.metrics import answers

BINS: Final = 10


class Calibration:
    """Sums over pixels of the probability of cloud, thick or thin, in equal bins of it.

    Args:
        bins: how many.
    """

    def __init__(self, bins: int = BINS):
        self.pixels, self.told, self.true = np.zeros((3, bins))

    def add(self, probabilities: NDArray[np.floating], label: NDArray[np.uint8]) -> None:
        """Counts the pixels whose label surely says cloud or surely not.

        Args:
            probabilities: `[..., C]`; pixels with a NaN do not count.
            label: uint8 bits `[...]`.
        """
        cloudy, clear = answers(label, CLOUD)
        answered = (cloudy | clear) & np.isfinite(probabilities).all(-1)
        seen = probabilities[answered]
        cloud = seen[:, CloudClass.THICK_CLOUD] + seen[:, CloudClass.THIN_CLOUD]
        count = len(self.pixels)
        bins = np.clip((cloud * count).astype(int), 0, count - 1)
        self.pixels += np.bincount(bins, minlength=count)
        self.told += np.bincount(bins, cloud, count)
        self.true += np.bincount(bins, cloudy[answered], count)

    @property
    def error(self) -> float:
        """The expected calibration error; NaN without a pixel.

        The mean over pixels of |frequency - mean probability| of the bin of probability in which
        they lie (Guo et al. 2017, "On Calibration of Modern Neural Networks", here of the one
        question whether there is cloud). 0 if in every bin cloud is as frequent as it is said.
        """
        pixels = self.pixels.sum()
        return float(np.abs(self.true - self.told).sum() / pixels) if pixels else math.nan


def measure_calibration(see: See, batches: Iterable[Batch]) -> dict[str, Any]:
    """How often it is cloud, thick or thin, where a model gives it some probability.

    Returns:
        of each of `BINS` equal bins the `pixels`, mean `probability` and `frequency`; and `error`.
    """
    sums = Calibration()
    for batch in batches:
        sums.add(see(batch), batch.label)
    some = np.maximum(sums.pixels, 1)
    return {
        "pixels": sums.pixels.astype(int).tolist(),
        "probability": finite(np.where(sums.pixels, sums.told / some, np.nan)),
        "frequency": finite(np.where(sums.pixels, sums.true / some, np.nan)),
        "error": finite(sums.error),
    }


def draw_calibration(path: Path, models: Mapping[str, Mapping[str, Any]]) -> None:
    """The reliability diagram: frequency against probability; on the diagonal they agree."""
    with panel(path, height=3.8) as axes:
        axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
        styles = zip(SERIES * 9, LINES * 9, strict=True)
        for (name, of), (colour, line) in zip(models.items(), styles, strict=False):
            told, true = (np.array(of[key], float) for key in ("probability", "frequency"))
            axes.plot(told, true, color=colour, linestyle=line, marker="o", ms=4, label=name)
        axes.set_aspect("equal")
        axes.set_xlabel("probability of cloud", fontsize=9)
        axes.set_ylabel("how often it is cloud", fontsize=9)
        axes.figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
