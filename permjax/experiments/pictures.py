"""Scenes as pictures: image, truth, what models see, and where they differ."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from permjax.bands import BandDescription
from permjax.classes import CLOUD, NO_DATA, decide, is_cloud
from permjax.data import Batch
from permjax.evaluation import label_variety
from permjax.experiments.parts import finite
from permjax.experiments.plots import save_pixels
from permjax.experiments.predicting import See
from permjax.metrics import answers, count_mask
from permjax.report import UNKNOWN_COLOUR, composite, label_classes, paint

UNKNOWN: Final = "not labelled, no data"
DIFFERENCES: Final[Mapping[str, tuple[int, int, int]]] = {
    "{0} right, {1} wrong on cloud": (230, 159, 0),
    "{1} right, {0} wrong on cloud": (0, 0, 0),
    "another class, the same on cloud": (0, 114, 178),
    "the same": (190, 190, 190),
    UNKNOWN: UNKNOWN_COLOUR,
}
"""What two models, named in the order of the report, make of a pixel, and its sRGB colour: Okabe
and Ito's (https://jfly.uni-koeln.de/color/), and greys that are neither like them nor, since one
key tells of both, like those of the classes."""
SHOWN: Final = 2
"""Scenes of each choice."""
LEAST_MIXED: Final = 0.05
"""Cloud and clear sky that a scene must each have to be ranked: a share of its pixels."""


class Seen(NamedTuple):
    """One record and the classes that each model sees in it.

    Image `[H, W, N]`; label bits and the class codes of each model, by its name, `[H, W]`.
    """

    dataset: str
    scene_id: str
    image: np.ndarray
    bands: BandDescription
    label: np.ndarray
    codes: dict[str, np.ndarray]

    @property
    def f1(self) -> float:
        """F1 of cloud of the first model; NaN where the scene is nearly all cloud or all clear."""
        cloud = count_mask(next(iter(self.codes.values())), self.label).cloud
        fewest = min(cloud.tp + cloud.fn, cloud.fp + cloud.tn)
        return cloud.f1 if fewest >= LEAST_MIXED * self.label.size else float("nan")


RANKS: Final[Mapping[str, Callable[[Seen], float]]] = {
    "chosen": lambda seen: -label_variety(seen.label),
    "best": lambda seen: -seen.f1,
    "worst": lambda seen: seen.f1,
}
"""Why a scene is shown, and the number by which scenes come first: those whose labels vary most,
whatever is made of them, and those with the highest and the lowest F1 of the first model."""


def choose_scenes(
    models: Mapping[str, See], batches: Iterable[tuple[str, Batch]]
) -> list[tuple[str, Seen]]:
    """The scenes to show and why, each scene once; only a few are held at any time.

    Args:
        models: by name; the first one ranks the scenes.
        batches: with the name of the dataset that each is of.
    """
    lists: dict[str, list[Seen]] = {why: [] for why in RANKS}
    for dataset, batch in batches:
        seen = list(_seen(models, dataset, batch))
        for why, rank in RANKS.items():
            ranked = [s for s in (*lists[why], *seen) if np.isfinite(rank(s))]
            # As many as the other choices may take away.
            lists[why] = _distinct(sorted(ranked, key=rank), set())[: len(RANKS) * SHOWN]
    shown: list[tuple[str, Seen]] = []
    for why, candidates in lists.items():
        taken = {seen.scene_id for _, seen in shown}
        shown += [(why, seen) for seen in _distinct(candidates, taken)[:SHOWN]]
    return shown


def _seen(models: Mapping[str, See], dataset: str, batch: Batch) -> Iterable[Seen]:
    codes = {name: decide(see(batch)) for name, see in models.items()}
    for b in np.flatnonzero(batch.label.any(axis=(1, 2))):
        there = batch.valid[b]
        yield Seen(
            dataset,
            str(batch.scene_id[b]),
            batch.image[b][..., there],
            BandDescription(*(part[b][there] for part in batch.bands)),
            batch.label[b],
            {name: of[b] for name, of in codes.items()},
        )


def _distinct(candidates: Iterable[Seen], taken: set[str]) -> list[Seen]:
    """The first of each scene that is not taken."""
    firsts: dict[str, Seen] = {}
    for seen in candidates:
        firsts.setdefault(seen.scene_id, seen)
    return [seen for scene_id, seen in firsts.items() if scene_id not in taken]


def draw_scenes(directory: Path, shown: Iterable[tuple[str, Seen]]) -> list[dict[str, Any]]:
    """Save the panels of scenes as PNG and tell what is on them.

    Returns:
        for each scene `why`, `dataset`, `scene_id`, the `f1` and `accuracy` of each model by name,
        and its `panels`: title and file name.
    """
    return [_draw(directory, number, why, seen) for number, (why, seen) in enumerate(shown, 1)]


def _draw(directory: Path, number: int, why: str, seen: Seen) -> dict[str, Any]:
    blank = np.isnan(seen.image).all(axis=-1)
    panels = {
        "image": composite(seen.image, seen.bands),
        "truth": paint(label_classes(seen.label)),
    }
    panels |= {name: paint(np.where(blank, NO_DATA, of)) for name, of in seen.codes.items()}
    if len(seen.codes) > 1:
        panels["difference"] = difference(seen.label, *list(seen.codes.values())[:2])
    files = []
    for title, pixels in panels.items():
        name = f"scene{number}_{Path(title).stem}.png"
        save_pixels(directory / name, pixels)
        files.append({"title": title, "file": name})
    counts = {name: count_mask(of, seen.label).cloud for name, of in seen.codes.items()}
    return {
        "why": why,
        "dataset": seen.dataset,
        "scene_id": seen.scene_id,
        "f1": {name: finite(cloud.f1) for name, cloud in counts.items()},
        "accuracy": {name: finite(cloud.accuracy) for name, cloud in counts.items()},
        "panels": files,
    }


def difference(label: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where two models differ, in the colours of `DIFFERENCES`: `[H, W]` to uint8 `[H, W, 3]`.

    Args:
        label: bits; a pixel that may be cloud or not is not labelled here.
        first: class codes of one model.
        second: class codes of the other.
    """
    surely, surely_not = answers(label, CLOUD)
    answered = surely | surely_not
    right, other_right = (is_cloud(codes) == surely for codes in (first, second))
    meaning = np.select(
        [~answered, right & ~other_right, other_right & ~right, first != second], [4, 0, 1, 2], 3
    )
    return np.array(list(DIFFERENCES.values()), np.uint8)[meaning]
