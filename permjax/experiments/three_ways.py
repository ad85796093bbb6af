"""The table of the three ways, its spread over seeds, and whether the talk's order came out."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

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
        `as_in_talk`, and for each neighbouring two in `steps` how much the second is better in each
        seed (the same seed of both): mean and spread, and how many seeds agree that it is better.
    """
    steps = []
    for worse, better in pairwise(order):
        of_both = (np.array(scores[way]["f1"]["seeds"], float) for way in (better, worse))
        gains = np.subtract(*of_both)
        seeds = {"agree": int(np.sum(gains > 0)), "of": len(gains)}
        steps.append({"worse": worse, "better": better} | mean_and_spread(gains.tolist()) | seeds)
    return {"as_in_talk": all((step["mean"] or 0) > 0 for step in steps), "steps": steps}
