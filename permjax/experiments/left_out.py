"""Sensors that a model was never trained on, against the same ones when it was."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from permjax.data import Batch
from permjax.experiments.plots import SERIES, panel
from permjax.experiments.predicting import See, count_clouds
from permjax.experiments.three_ways import mean_and_spread


def measure_left_out(
    trained: Sequence[See], never: See, batches: Sequence[Batch]
) -> dict[str, Any]:
    """Accuracy and F1 of cloud on one sensor's records, by models that knew it and by one that not.

    Args:
        trained: models that saw all sensors, one a seed.
        never: the model of the first seed that saw neither this sensor nor its twins.
        batches: the sensor's records.
    """
    known = [count_clouds(see, batches) for see in trained]
    new = count_clouds(never, batches)
    return {
        metric: {
            "trained": mean_and_spread([getattr(counts, metric) for counts in known]),
            "never": mean_and_spread([getattr(new, metric)]),
        }
        for metric in ("accuracy", "f1")
    }


def draw_left_out(path: Path, sensors: Mapping[str, Mapping[str, Any]]) -> None:
    """Accuracy on each sensor when it was trained on, and when it never was."""
    rows = range(len(sensors))[::-1]
    with panel(path, height=1.2 + 0.3 * len(sensors)) as axes:
        for name, colour, marker in (("trained", SERIES[1], "o"), ("never", SERIES[0], "D")):
            means = np.array([of["accuracy"][name]["mean"] for of in sensors.values()], float)
            label = f"{name} on it" if name == "trained" else "never trained on it"
            axes.plot(100 * means, rows, marker, color=colour, label=label)
        axes.set_yticks(rows, list(sensors))
        axes.set_ylim(-0.5, len(sensors) - 0.5)
        axes.set_xlabel("accuracy, %", fontsize=9)
        axes.figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
