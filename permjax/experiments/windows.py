"""Scores of each window of 128 x 128 pixels against its cloud cover.

Axes: P windows (places), S seeds, G points of a curve, R resamples.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from permjax.classes import CLOUD, decide
from permjax.data import Batch
from permjax.experiments.parts import finite
from permjax.experiments.plots import LINES, SERIES, panel
from permjax.experiments.predicting import See
from permjax.metrics import Counts, answers, count_mask

SIZE: Final = 128
METRICS: Final = {"accuracy": "accuracy", "f1": "F1", "precision": "precision", "recall": "recall"}
"""The scores of cloud that are compared: the name in JSON, and the title."""
GRID: Final = np.linspace(0, 1, 41)
"""The cloud covers at which curves are computed."""
KERNEL: Final = 0.1
"""Standard deviation of the smooth curves' Gaussian kernel, in cloud cover."""
RESAMPLES: Final = 400
LEAST_COVER: Final = 0.05
"""The cloud cover from which F1 and precision of a window count. Below it a few false pixels decide
them: without cloud both are 0 with a single one, and undefined with none."""
CLOUD_SCORES: Final = ("f1", "precision")
"""The scores that count from `LEAST_COVER` on."""
LEAST_LABELLED: Final = 0.1
"""Labelled pixels from which a window counts, as a share of those of the window that has most: the
cloud cover and the scores of a few pixels say little."""


class Place(NamedTuple):
    """Where a window lies: its records, its scene, and its upper left pixel."""

    dataset: str
    scene_id: str
    row: int
    column: int


def windows_of(batch: Batch) -> Iterator[tuple[int, slice, slice]]:
    """Example, rows and columns of each window of a batch; smaller at lower and right edges."""
    B, H, W = batch.label.shape
    for b in range(B):
        for row in range(0, H, SIZE):
            for column in range(0, W, SIZE):
                yield b, slice(row, row + SIZE), slice(column, column + SIZE)


def measure_windows(
    ways: Mapping[str, Sequence[See]], batches: Iterable[tuple[str, Batch]]
) -> dict[str, Any]:
    """Count clouds in each window that is labelled.

    Args:
        ways: models, one a seed, by what they are called.
        batches: with the name of the dataset that each is of.

    Returns:
        `places`, P of `Place`, and `counts` of each way, `[S, P, 4]`: true and false positives,
        false and true negatives, of cloud.
    """
    places: list[Place] = []
    counts: dict[str, list[list[list[int]]]] = {way: [[] for _ in ways[way]] for way in ways}
    for dataset, batch in batches:
        cloudy, clear = answers(batch.label, CLOUD)
        labelled = [window for window in windows_of(batch) if (cloudy | clear)[window].any()]
        for b, rows, columns in labelled:
            places.append(Place(dataset, str(batch.scene_id[b]), rows.start, columns.start))
        for way, models in ways.items():
            for see, of_seed in zip(models, counts[way], strict=True):
                codes = decide(see(batch))
                for window in labelled:
                    cloud = count_mask(codes[window], batch.label[window]).cloud
                    of_seed.append([cloud.tp, cloud.fp, cloud.fn, cloud.tn])
    return {"size": SIZE, "places": [place._asdict() for place in places], "counts": counts}


def window_curves(windows: Mapping[str, Any], reference: str | None = None) -> dict[str, Any]:
    """The scores of windows and their smooth curves, for each way and metric.

    The counts of a way's seeds are added in each window first. A window with fewer labelled pixels
    than `LEAST_LABELLED` has no score, one with less cloud than `LEAST_COVER` none of
    `CLOUD_SCORES`.

    Args:
        windows: of `measure_windows`.
        reference: the way that `both minus reference` is computed for; None = no differences.

    Returns:
        `cover` `[P]`, `grid` `[G]`, the number of `scenes`; in `ways`, by way and metric, the
        `points` `[P]` and their curve's `fit`, `low` and `high` `[G]`, None where there is none;
        `differences` likewise by metric.
    """
    counts = {way: np.sum(c, axis=0) for way, c in windows["counts"].items()}
    scenes = np.array([place["scene_id"] for place in windows["places"]])
    first = next(iter(counts.values()))
    labelled = first.sum(axis=1)
    cover = (first[:, 0] + first[:, 2]) / labelled
    enough = labelled >= LEAST_LABELLED * labelled.max()
    cloudy = enough & (cover >= LEAST_COVER)
    scores = {
        way: {
            m: np.where(cloudy if m in CLOUD_SCORES else enough, _score(c, m), np.nan)
            for m in METRICS
        }
        for way, c in counts.items()
    }
    result: dict[str, Any] = {"cover": cover.tolist(), "grid": GRID.tolist()}
    result["scenes"] = len(np.unique(scenes))
    result["ways"] = {
        way: {m: _with_curve(cover, y, scenes) for m, y in of.items()} for way, of in scores.items()
    }
    if reference is not None:
        result["differences"] = {
            m: _with_curve(cover, scores["both"][m] - scores[reference][m], scenes) for m in METRICS
        }
    return result


def _score(counts: NDArray, metric: str) -> NDArray:
    """A score of each window: counts `[P, 4]` to `[P]`, NaN where undefined."""
    return np.array([getattr(Counts(*window), metric) for window in counts.tolist()])


def _with_curve(x: NDArray, y: NDArray, scenes: NDArray) -> dict[str, Any]:
    return {"points": finite(y)} | {
        name: finite(values) for name, values in smooth_curve(x, y, scenes)._asdict().items()
    }


class Curve(NamedTuple):
    """A smooth curve over `GRID` `[G]`, and the 95 % band that the scenes leave open."""

    fit: NDArray[np.floating]
    low: NDArray[np.floating]
    high: NDArray[np.floating]


def smooth_curve(x: NDArray, y: NDArray, scenes: NDArray) -> Curve:
    """The mean of `y` about each cloud cover, its band from resampled scenes.

    Means with Gaussian weights (Nadaraya 1964, "On Estimating Regression"), so the curve stays
    within the scores, and a constant comes out as that constant with a band of no width. Whole
    scenes are drawn with replacement, since windows of one scene are alike. Where no window's cover
    reaches it is NaN, and so is the band of a single scene.

    Args:
        x: cloud cover `[P]`.
        y: score `[P]`, NaN where undefined; such windows do not count.
        scenes: of each window `[P]`.
    """
    there = np.isfinite(y)
    if not there.any():
        return Curve(*(np.full(len(GRID), np.nan),) * 3)
    x, y = x[there], y[there]
    names, scene = np.unique(scenes[there], return_inverse=True)
    even = np.full(len(names), 1 / len(names))
    draws = np.random.default_rng(0).multinomial(len(names), even, RESAMPLES)
    kernel = np.exp(-0.5 * ((x[:, None] - GRID) / KERNEL) ** 2)
    weights = np.vstack([np.ones(len(x)), draws[:, scene]])
    fit, *drawn = (weights @ (kernel * y[:, None])) / (weights @ kernel)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    if len(names) == 1:  # Of one scene nobody knows how another would be.
        low, high = np.full((2, len(GRID)), np.nan)
    seen = (x.min() <= GRID) & (x.max() >= GRID)
    return Curve(*(np.where(seen, values, np.nan) for values in (fit, low, high)))


def draw_windows(path: Path, curves: Mapping[str, Any], metric: str) -> None:
    """One metric against cloud cover: points, curve and band of each way."""
    with panel(path, height=3.4) as axes:
        styles = zip(SERIES * 9, LINES * 9, strict=True)
        for (way, of), (colour, line) in zip(curves["ways"].items(), styles, strict=False):
            _draw_curve(axes, curves, of[metric], colour=colour, line=line, label=way)
        axes.set_ylim(-3, 103)
        axes.set_ylabel(f"{METRICS[metric]}, %", fontsize=9)
        axes.figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)


def draw_differences(path: Path, curves: Mapping[str, Any], metric: str, reference: str) -> None:
    """The difference `both - reference` of one metric against cloud cover."""
    with panel(path) as axes:
        axes.axhline(0, color="grey", linewidth=1)
        _draw_curve(axes, curves, curves["differences"][metric], colour="#000000", line="-")
        axes.set_ylabel(f"{METRICS[metric]}: both - {reference}, points", fontsize=9)


def _draw_curve(
    axes: Axes,
    curves: Mapping[str, Any],
    of: Mapping[str, Any],
    colour: str,
    line: Any,
    label: str = "",
) -> None:
    numbers = {key: 100 * np.array(values, float) for key, values in of.items()}
    cover, grid = (100 * np.array(curves[key]) for key in ("cover", "grid"))
    axes.scatter(cover, numbers["points"], s=9, color=colour, alpha=0.3, linewidths=0)
    axes.fill_between(grid, numbers["low"], numbers["high"], color=colour, alpha=0.15, linewidth=0)
    axes.plot(grid, numbers["fit"], color=colour, linestyle=line, label=label)
    axes.set_xlabel("cloud cover of the window, %", fontsize=9)
