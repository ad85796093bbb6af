"""What bands do for a model: left out, alone, in any number, and wrongly described.

Axes: N bands, F factors on a wavelength.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from permjax.data import Batch
from permjax.experiments.parts import finite
from permjax.experiments.plots import LINES, SERIES, panel
from permjax.experiments.predicting import See, count_clouds, with_bands
from permjax.sensors import Sensor

SUBSETS: Final = 3
"""Random choices of each number of bands."""
SLIDES: Final = tuple(2.0 ** (k / 3) for k in range(-3, 4))
"""Described over true wavelength, from half to double; 1 in the middle."""


def measure_bands(see: See, sensor: Sensor, batches: Sequence[Batch]) -> dict[str, Any]:
    """Accuracy of cloud with all bands, without each, and with each alone.

    A band that changes no answer has the accuracy of all bands where it is left out.

    Args:
        see: the model.
        sensor: whose records they are; they may have some of its bands only.
        batches: its records.
    """
    bands = name_bands(sensor, batches[0].bands.wavelength_nm[0])
    one = np.eye(len(bands), dtype=bool)
    return {
        "bands": bands,
        "all": _accuracy(see, batches),
        "without": [_accuracy(see, [with_bands(b, ~band) for b in batches]) for band in one],
        "alone": [_accuracy(see, [with_bands(b, band) for b in batches]) for band in one],
    }


def name_bands(sensor: Sensor, wavelength_nm: np.ndarray) -> list[dict[str, Any]]:
    """`wavelength_nm` of the bands that records have, and `name` as the sensor's table has it.

    Records may give rounded wavelengths: a name is that of the nearest band within 1 %, else empty.
    """
    table = np.array([band.wavelength_nm for band in sensor.bands])
    named = []
    for nm in wavelength_nm.tolist():
        nearest = int(np.argmin(np.abs(table - nm)))
        known = abs(table[nearest] - nm) <= 0.01 * nm
        name = sensor.bands[nearest].name if known else ""
        named.append({"name": name, "wavelength_nm": round(nm, 3)})
    return named


def _accuracy(see: See, batches: Sequence[Batch]) -> Any:
    return finite(count_clouds(see, batches).accuracy)


def measure_numbers(see: See, batches: Sequence[Batch]) -> dict[str, Any]:
    """Accuracy of cloud with 1 to N bands, drawn `SUBSETS` times each, always the same draws.

    Returns:
        `number` of bands, and the `accuracy` of each draw.
    """
    N = batches[0].valid.shape[-1]
    rng = np.random.default_rng(0)
    draws = [[np.argsort(rng.random(N)) < n for _ in range(SUBSETS)] for n in range(1, N)]
    draws.append([np.ones(N, bool)])  # There is one way to take all.
    return {
        "number": list(range(1, N + 1)),
        "accuracy": [
            [_accuracy(see, [with_bands(b, kept) for b in batches]) for kept in of] for of in draws
        ],
    }


def measure_slides(see: See, sensor: Sensor, batches: Sequence[Batch]) -> dict[str, Any]:
    """Accuracy of cloud while one band's wavelength is told wrongly, the image as it is.

    Returns:
        the `factor` on the described wavelength, and for each band the `accuracy` at each; at 1 it
        is that of the truth.
    """
    bands = name_bands(sensor, batches[0].bands.wavelength_nm[0])
    return {
        "factor": list(SLIDES),
        "bands": bands,
        "accuracy": [
            [_accuracy(see, [slide(b, index, factor) for b in batches]) for factor in SLIDES]
            for index in range(len(bands))
        ],
    }


def slide(batch: Batch, index: int, factor: float) -> Batch:
    """The batch with the described wavelength of one band multiplied, and nothing else changed."""
    wavelength_nm = batch.bands.wavelength_nm.copy()
    wavelength_nm[:, index] *= factor
    return batch._replace(bands=batch.bands._replace(wavelength_nm=wavelength_nm))


def mean_of(runs: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """A measurement's numbers, averaged over models, in per cent; NaN where undefined in one."""
    return 100 * np.mean([np.array(run[key], float) for run in runs], axis=0)


def _labels(bands: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{band['name']}  {band['wavelength_nm']:g} nm".lstrip() for band in bands]


def draw_bands(path: Path, title: str, runs: Sequence[Mapping[str, Any]]) -> None:
    """Accuracy without each band and with it alone, beside that of all bands: a row a band."""
    bands = runs[0]["bands"]
    rows = np.arange(len(bands))[::-1]
    with panel(path, height=1.2 + 0.24 * len(bands)) as axes:
        axes.axvline(float(mean_of(runs, "all")), color="black", linewidth=1, label="all bands")
        axes.plot(mean_of(runs, "without"), rows, "o", color=SERIES[1], label="without it")
        axes.plot(mean_of(runs, "alone"), rows, "D", color=SERIES[0], label="alone", mfc="none")
        axes.set_yticks(rows, _labels(bands))
        axes.set_xlabel("accuracy, %", fontsize=9)
        axes.set_title(title, fontsize=9)
        axes.figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)


def draw_numbers(path: Path, sensors: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Mean accuracy against the number of bands, a line a sensor, from worst to best draw."""
    with panel(path, height=3.6) as axes:
        styles = zip(SERIES * 9, LINES * 9, strict=True)
        for (title, runs), (colour, line) in zip(sensors.items(), styles, strict=False):
            number = runs[0]["number"]
            draws = [mean_of([{"draws": run["accuracy"][i]} for run in runs], "draws")
                     for i in range(len(number))]  # fmt: skip
            axes.plot(number, [d.mean() for d in draws], color=colour, linestyle=line, label=title)
            low, high = [d.min() for d in draws], [d.max() for d in draws]
            axes.fill_between(number, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.set_xlabel("number of bands", fontsize=9)
        axes.set_ylabel("accuracy, %", fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)


def _changes(runs: Sequence[Mapping[str, Any]]) -> NDArray:
    """Points of accuracy gained by each description, beside the true one: `[N, F]`."""
    accuracy = mean_of(runs, "accuracy")
    return accuracy - accuracy[:, [runs[0]["factor"].index(1.0)]]


def largest_change(sensors: Mapping[str, Sequence[Mapping[str, Any]]]) -> float:
    """The most points that a wrong description of any sensor gains or loses, 1 at least."""
    changes = (np.abs(_changes(runs)) for runs in sensors.values())
    return max([1.0, *(float(np.nanmax(np.append(change, 0))) for change in changes)])


def draw_slides(path: Path, title: str, runs: Sequence[Mapping[str, Any]], limit: float) -> None:
    """Points of accuracy gained (blue) or lost (red): bands downwards, factor to the right.

    Args:
        path: of the PNG file.
        title: of the figure.
        runs: of `measure_slides`, one a model.
        limit: the points at which colours are strongest; one for all sensors to compare them.
    """
    factor, bands = runs[0]["factor"], runs[0]["bands"]
    change = _changes(runs)
    with panel(path, height=1.4 + 0.24 * len(bands)) as axes:
        axes.grid(visible=False)
        drawn = axes.imshow(change, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
        axes.set_yticks(range(len(bands)), _labels(bands))
        axes.set_xticks(range(len(factor)), [f"{f:.2f}" for f in factor])
        axes.set_xlabel("described / true wavelength", fontsize=9)
        axes.set_title(title, fontsize=9)
        signed = FuncFormatter(lambda x, _: f"{x:+g}")
        bar = axes.figure.colorbar(drawn, ax=axes, location="bottom", aspect=30, format=signed)
        bar.set_label("change of accuracy, points", fontsize=8)
        bar.ax.tick_params(labelsize=8)
