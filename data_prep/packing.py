"""Scenes of a public data set into records: in parts that survive a stop, whole in the end."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from data_prep.archives import remove_abandoned
from data_prep.parts import Packer, faults_of
from data_prep.patches import assign_splits, checked_stride
from data_prep.progress import SceneProgress, scene_progress
from data_prep.sources import DataSet, SourceScene
from data_prep.unfinished import Outcome, Part, Work, by_note, merged
from data_prep.workers import write_parts

MOST_PARTS: Final = 256
"""About as many files of records as a data set has; with more scenes, several share a file."""


def pack(
    data_set: DataSet,
    source: Path,
    data_dir: Path,
    *,
    patch_size: int = 256,
    stride: int | None = None,
    keep_going: bool = False,
) -> list[Path]:
    """Packs a data set into `<data_dir>/<name>/<config>/<version>`, a directory for each sensor.

    The same files and settings give the same records, stopped and run again or not. What is there
    already with the same settings is left as it is.

    Args:
        data_set: what to pack.
        source: folder or archive that it lies in.
        data_dir: where data sets lie.
        patch_size: side of a patch in pixels.
        stride: pixels from one patch to the next; None = `patch_size`.
        keep_going: leave scenes out that cannot be used, and list them at the end, instead of
            stopping at the first. Parts that are whole stay for the next run in both cases.

    Returns:
        the directory of each config, in the order of their names.

    Raises:
        FileNotFoundError: there is nothing of this data set.
        FileExistsError: it is there, or was begun, with other settings.
        BlockingIOError: another run is packing it.
        OSError: `data_dir` cannot be written, which is found out before scenes are read.
        OSError, ValueError: a scene cannot be used; the message names file and fault.
    """
    stride = checked_stride(patch_size, stride)
    found = data_set.find(source)
    if found.faults and not keep_going:
        raise ValueError(found.faults[0])
    if not found.scenes:
        reason = f": {found.faults[0]}" if found.faults else ""
        raise FileNotFoundError(f"{source}: no scene of {data_set.name} can be used{reason}")
    splits = scene_splits(found.scenes)
    plan = _plan(data_set, found.scenes, splits, patch_size, stride)
    work = Work(data_set, data_dir, plan)
    if work.is_done():
        return work.finals
    remove_abandoned()
    with scene_progress(found.scenes) as progress:
        with work.under_way():
            if not keep_going:
                _check_opening(found.scenes, progress)
            parts = [p for p in cut_parts(found.scenes, splits) if not work.is_moved(p.config)]
            packer = Packer(work, patch_size, stride, keep_going)
            outcomes = _write_missing(packer, parts, progress)
            work.finish(parts, outcomes, found.faults)
        progress.list_notes(by_note(merged(outcome.notes for outcome in outcomes.values())))
        left_out = merged(outcome.left_out for outcome in outcomes.values())
        progress.list_left_out([*found.faults, *left_out.values()])
    return work.finals


def scene_splits(scenes: Sequence[SourceScene]) -> dict[str, str]:
    """The split of each scene_id: the published one, or else as `assign_splits` deals it.

    Raises:
        ValueError: two parts of one scene are published in different splits, or two scenes have
            one name.
    """
    published: dict[str, str] = {}
    names: set[str] = set()
    for scene in scenes:
        if scene.name in names:
            raise ValueError(f"two scenes are called {scene.name}: take one of them away")
        names.add(scene.name)
        if scene.split and published.setdefault(scene.scene_id, scene.split) != scene.split:
            raise ValueError(
                f"scene {scene.scene_id} is published in two splits, "
                f"{published[scene.scene_id]} and {scene.split}: its parts must be in one"
            )
    rest = {scene.scene_id for scene in scenes} - set(published)
    return published | assign_splits(rest)


def cut_parts(scenes: Sequence[SourceScene], splits: Mapping[str, str]) -> list[Part]:
    """The parts that scenes are packed in, in the order of the scenes."""
    groups: dict[tuple[str, str], list[SourceScene]] = {}
    for scene in scenes:
        key = scene.config or scene.sensor, splits[scene.scene_id]
        groups.setdefault(key, []).append(scene)
    size = math.ceil(len(scenes) / MOST_PARTS)
    order = {scene: index for index, scene in enumerate(scenes)}
    parts = []
    for (config, split), members in groups.items():
        chunks = [members[i : i + size] for i in range(0, len(members), size)]
        for index, chunk in enumerate(chunks):
            parts.append(Part(config, split, index, len(chunks), tuple(chunk)))
    return sorted(parts, key=lambda part: order[part.scenes[0]])


def _plan(
    data_set: DataSet,
    scenes: Sequence[SourceScene],
    splits: Mapping[str, str],
    patch_size: int,
    stride: int,
) -> dict[str, Any]:
    """All that the records follow from, but for what the files hold."""
    listed = sorted(
        (scene.name, scene.config or scene.sensor, splits[scene.scene_id]) for scene in scenes
    )
    return {
        "version": str(data_set.builder.VERSION),
        "patch_size": patch_size,
        "stride": stride,
        "scenes": len(scenes),
        "scenes_sha256": hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
        "configs": {s.config or s.sensor: s.sensor for s in scenes},
    }


def _check_opening(scenes: Iterable[SourceScene], progress: SceneProgress) -> None:
    """Opens what opens at once, so that most faults are found before hours of work."""
    for scene in progress.checking([scene for scene in scenes if not scene.packed]):
        with faults_of(scene), scene.open():
            pass


def _write_missing(
    packer: Packer, parts: Sequence[Part], progress: SceneProgress
) -> dict[Part, Outcome]:
    """What became of each part: those that an earlier run has left whole stay as they are."""
    whole = {part: outcome for part in parts if (outcome := packer.work.outcome(part))}
    for part, outcome in whole.items():
        progress.skip(part.scenes, outcome.patches)
    missing = [part for part in parts if part not in whole]
    return whole | write_parts(packer, missing, progress.advance)
