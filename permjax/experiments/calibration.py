"""Whether probabilities of cloud mean what they say."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from permjax.classes import CLOUD, CloudClass
from permjax.data import Batch
from permjax.experiments.parts import finite
from permjax.experiments.plots import LINES, SERIES, panel
from permjax.experiments.predicting import See
from permjax.metrics import answers

BINS: Final = 10


def measure_calibration(see: See, batches: Iterable[Batch]) -> dict[str, Any]:
    """How often it is cloud, thick or thin, where a model gives it some probability.

    The expected calibration error is the mean over pixels of |frequency - mean probability| of the
    bin of probability in which they lie (Guo et al. 2017, "On Calibration of Modern Neural
    Networks", here of the one question whether there is cloud). 0 if in every bin cloud is as
    frequent as it is said to be.

    Returns:
        of each of `BINS` equal bins the `pixels`, mean `probability` and `frequency`; and `error`.
    """
    pixels, told, true = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)
    for batch in batches:
        cloudy, clear = answers(batch.label, CLOUD)
        answered = cloudy | clear
        seen = see(batch)[answered]
        cloud = seen[:, CloudClass.THICK_CLOUD] + seen[:, CloudClass.THIN_CLOUD]
        bins = np.clip((cloud * BINS).astype(int), 0, BINS - 1)
        pixels += np.bincount(bins, minlength=BINS)
        told += np.bincount(bins, cloud, BINS)
        true += np.bincount(bins, cloudy[answered], BINS)
    some = np.maximum(pixels, 1)
    return {
        "pixels": pixels.astype(int).tolist(),
        "probability": finite(np.where(pixels, told / some, np.nan)),
        "frequency": finite(np.where(pixels, true / some, np.nan)),
        "error": finite(np.abs(true - told).sum() / max(pixels.sum(), 1)),
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
