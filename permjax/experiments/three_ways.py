"""The table of the three ways, its spread over seeds, and whether the talk's order came out."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from scipy.special import stdtrit

from permjax.experiments.parts import finite
from permjax.experiments.windows import METRICS
from permjax.metrics import Counts

TALK: Final = {
    "landsat": {"accuracy": 0.886, "f1": 0.698, "precision": 0.869, "recall": 0.584},
    "sentinel": {"accuracy": 0.919, "f1": 0.806, "precision": 0.791, "recall": 0.821},
    "both": {"accuracy": 0.924, "f1": 0.827, "precision": 0.851, "recall": 0.804},
}
"""A. Francis, "Sensor-Independent Deep Learning for Cloud Masking": trained on Landsat, on
Sentinel-2, on both, and tested on real Sentinel-2 scenes; accuracy, F1, precision, recall."""

CONFIDENCE: Final = 0.95
"""How sure an interval of a mean is of holding it, and an order of being told."""


def score_ways(windows: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of each way over all pixels of all windows: of each seed, their mean and spread.

    The spread is the sample's standard deviation (n - 1), None with one seed.

    Args:
        windows: of `measure_windows`.
    """
    return {way: _over_seeds(np.asarray(c)) for way, c in windows["counts"].items()}


def _over_seeds(counts: np.ndarray) -> dict[str, Any]:
    """`[S, P, 4]` to scores by name: `seeds` `[S]`, `mean`, `spread`."""
    totals = [Counts(*seed) for seed in counts.sum(axis=1).tolist()]
    return {
        metric: mean_and_spread([getattr(total, metric) for total in totals]) for metric in METRICS
    }


def mean_and_spread(seeds: Sequence[float]) -> dict[str, Any]:
    """Figures of several seeds with their mean and standard deviation (n - 1)."""
    spread = np.std(seeds, ddof=1) if len(seeds) > 1 else np.nan
    return {"seeds": finite(seeds), "mean": finite(np.mean(seeds)), "spread": finite(spread)}


def compare_order(scores: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """Whether the F1 of the ways rises along `order`, as it does in the talk.

    Args:
        scores: of `score_ways`.
        order: the ways from worst to best in the talk.

    Returns:
        `as_in_talk`: "yes" if every step surely holds, "no" if one surely does not, else
        "undecided"; the `confidence` of that; and for each neighbouring two in `steps` how much the
        second is better in each seed (the same seed of both): mean and spread, the interval of the
        mean from `low` to `high`, whether it `holds`, and how many seeds agree that it is better.
    """
    steps = []
    for worse, better in pairwise(order):
        of_both = (np.array(scores[way]["f1"]["seeds"], float) for way in (better, worse))
        gains = np.subtract(*of_both)
        low, high = mean_interval(gains)
        steps.append(
            {"worse": worse, "better": better}
            | mean_and_spread(gains.tolist())
            | {"low": finite(low), "high": finite(high), "holds": _above_zero(low, high)}
            | {"agree": int(np.sum(gains > 0)), "of": len(gains)}
        )
    answers = {step["holds"] for step in steps}
    as_in_talk = "no" if "no" in answers else "yes" if answers == {"yes"} else "undecided"
    return {"as_in_talk": as_in_talk, "confidence": CONFIDENCE, "steps": steps}


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """The interval of `CONFIDENCE` of the mean of normal values, by Student's t; NaN of one."""
    if len(values) < 2:
        return np.nan, np.nan
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2) * error)
    return float(np.mean(values)) - half, float(np.mean(values)) + half


def _above_zero(low: float, high: float) -> str:
    """Whether what lies surely between two numbers is above zero; undecided where they are NaN."""
    return "yes" if low > 0 else "no" if high < 0 else "undecided"
