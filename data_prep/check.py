"""Says what of a data set lies in a folder and what is damaged; writes nothing.

`python -m data_prep.check NAME --source=DIR`
"""

import signal
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from data_prep.archives import remove_abandoned
from data_prep.codes import label_title
from data_prep.packing import scene_splits
from data_prep.parts import CACHE_MB, SceneFault, faults_of
from data_prep.patches import SPLITS
from data_prep.progress import SceneProgress, scene_progress
from data_prep.sources import NAMES, DataSet, SourceScene, data_set
from data_prep.unfinished import by_note

NAMED: Final = 5
"""Of the scenes that are missing so many are named."""

ROWS: Final = 256
"""Of a scene in memory at once."""


@dataclass
class Findings:
    """What a check found.

    Args:
        scenes: those that can be read to their end, in each split.
        pixels: how many pixels have each of the 16 labels.
        notes: of each scene that has any.
        faults: one sentence each.
        missing: scenes that the publisher lists and that are not there, sound or not.
    """

    scenes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(16, np.int64))
    notes: dict[str, list[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; 0 = all that is there is sound, 1 = something is not."""
    parser = ArgumentParser(prog="python -m data_prep.check", description=__doc__)
    parser.add_argument("name", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    parser.add_argument("--source", type=Path, required=True, help="what was downloaded")
    options = parser.parse_args(arguments)
    it = data_set(options.name)
    try:
        findings = check(it, options.source)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 1
    _report(it, findings)
    return 1 if findings.faults else 0


def check(it: DataSet, source: Path) -> Findings:
    """Reads every scene to its end.

    Raises:
        FileNotFoundError: there is nothing of this data set.
        ValueError: its scenes cannot be split.
    """
    remove_abandoned()
    found = it.find(source)
    missing = it.missing([scene.scene_id for scene in found.scenes])
    findings = Findings(faults=list(found.faults), missing=missing)
    splits = scene_splits(found.scenes)
    with scene_progress(found.scenes) as progress, rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
        for scene in found.scenes:
            try:
                _read(scene, findings, progress)
                findings.scenes[splits[scene.scene_id]] += 1
            except SceneFault as fault:
                findings.faults.append(str(fault))
            progress.advance(scene.name, 1.0)
    return findings


def _read(scene: SourceScene, findings: Findings, progress: SceneProgress) -> None:
    with faults_of(scene), scene.open() as opened:
        pixels = np.zeros_like(findings.pixels)
        for row in range(0, opened.height, ROWS):
            progress.advance(scene.name, row / opened.height)
            rows = slice(row, min(row + ROWS, opened.height))
            image, label = opened.read(rows, slice(0, opened.width))
            label = np.where(np.isnan(image).all(axis=2), 0, label)
            pixels += np.bincount(label.ravel(), minlength=16)
        findings.pixels += pixels
        if opened.notes:
            findings.notes[scene.name] = list(opened.notes)


def _report(it: DataSet, findings: Findings) -> None:
    console = Console()
    sound = sum(findings.scenes.values())
    splits = ", ".join(f"{count} {split}" for split, count in findings.scenes.items() if count)
    console.print(f"{it.name}: {sound} of {it.scene_count} scenes ({splits or 'none'})")
    if missing := findings.missing:
        named = ", ".join(missing[:NAMED])
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        console.print(f"missing of those listed: {named}{more}", markup=False, soft_wrap=True)
    console.print(_labels(findings.pixels))
    for note, scenes in by_note(findings.notes).items():
        console.print(f"{note} ({len(scenes)} scenes)", markup=False)
    for fault in findings.faults:
        console.print(fault, style="red", markup=False, soft_wrap=True)


def _labels(pixels: NDArray[np.int64]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("label")
    table.add_column("% of pixels", justify="right")
    for label in np.flatnonzero(pixels).tolist():
        table.add_row(label_title(label), f"{100 * pixels[label] / pixels.sum():.2f}")
    return table


if __name__ == "__main__":
    # A polite kill is as good as Ctrl-C: what is under way is tidied up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
