"""Scenes of a public data set into records: in parts that survive a stop, whole in the end."""

import errno
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from array_record.python.array_record_module import ArrayRecordWriter
from numpy.typing import NDArray

from data_prep.patches import (
    Patch,
    ReadSquare,
    assign_splits,
    cut_patches,
    features,
    record,
)
from data_prep.progress import SceneProgress, scene_progress
from data_prep.sources import DataSet, SourceScene
from data_prep.unfinished import Outcome, Part, Work, by_note, merged, write_whole

MOST_PARTS: Final = 256
"""About as many files of records as a data set has; with more scenes, several share a file."""

CACHE_MB: Final = 128
"""What GDAL keeps of files it reads."""

AHEAD_BYTES: Final = 24_000_000
"""Of a row of patches that is read at once: files hold rows, and reading each patch by itself took
three times as long (a Landsat scene, 256 pixels)."""

RECORD_OPTIONS: Final = "group_size:1,zstd:1"
"""A record a group, as TFDS writes them, so that each is read by itself. At its default, zstd:3,
compression takes 2.5 times as long and saves 3 % (measured with a smooth scene and noise)."""

Window = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""Image float32 [h, w, N] and label uint8 [h, w]."""


class SceneFault(ValueError):  # noqa: N818  # The word of the messages.
    """A scene cannot be used; the message names file and fault."""

    def __init__(self, scene: SourceScene, error: Exception) -> None:
        said = str(error)
        super().__init__(said if scene.name in said else f"scene {scene.name}: {said}")
        self.scene = scene


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
        OSError, ValueError: a scene cannot be used; the message names file and fault.
    """
    stride = patch_size if stride is None else stride
    if patch_size < 1 or stride < 1:
        raise ValueError(f"patch_size {patch_size} and stride {stride} must be 1 pixel or more")
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
    with scene_progress(found.scenes) as progress:
        if not keep_going:
            _check_opening(found.scenes, progress)
        packer = _Packer(work, patch_size, stride, keep_going, progress)
        parts = [p for p in cut_parts(found.scenes, splits) if not work.is_moved(p.config)]
        with work.under_way(), rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
            outcomes = {part: packer.outcome(part) for part in parts}
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


class _Packer:
    """Writes parts, or finds that they are written."""

    def __init__(
        self,
        work: Work,
        patch_size: int,
        stride: int,
        keep_going: bool,
        progress: SceneProgress,
    ) -> None:
        self._work, self._progress, self._keep_going = work, progress, keep_going
        self._patch_size, self._stride = patch_size, stride
        self._features = features()

    def outcome(self, part: Part) -> Outcome:
        """What became of a part; written now, unless the journal has it without a fault."""
        note = self._work.journal / part.name
        if note.exists():
            outcome = Outcome(**json.loads(note.read_text(encoding="utf-8")))
            if not outcome.left_out:
                self._progress.skip(part.scenes, outcome.patches)
                return outcome
            note.unlink()  # The file may have been fetched again since.
        outcome = self._write(part)
        write_whole(note, vars(outcome))
        return outcome

    def _write(self, part: Part) -> Outcome:
        """Writes a part; begun anew without a scene that turns out to have a fault."""
        left_out: dict[str, str] = {}
        while True:
            outcome = Outcome(left_out=left_out)
            try:
                self._write_scenes(part, outcome)
                return outcome
            except SceneFault as fault:
                if not self._keep_going:
                    raise
                left_out[fault.scene.name] = str(fault)

    def _write_scenes(self, part: Part, outcome: Outcome) -> None:
        path = self._work.path(part)
        unfinished = path.with_name(f"{path.name}.part")
        scenes = [scene for scene in part.scenes if scene.name not in outcome.left_out]
        writer = ArrayRecordWriter(str(unfinished), RECORD_OPTIONS)
        try:
            for scene in scenes:
                for patch in self._patches(scene, outcome):
                    writer.write(self._features.serialize_example(record(patch)))
                    outcome.patches += 1
        finally:
            writer.close()
        unfinished.replace(path)

    def _patches(self, scene: SourceScene, outcome: Outcome) -> Iterator[Patch]:
        with self._progress.scene(scene) as advance, faults_of(scene), scene.open() as opened:
            if opened.notes:
                outcome.notes[scene.name] = list(opened.notes)

            def read(rows: slice, columns: slice) -> Window:
                advance(rows.start / opened.height)
                return opened.read(rows, columns)

            ahead = AHEAD_BYTES // (self._patch_size * len(opened.bands.kind) * 4)
            squares = cut_patches(
                read_ahead(read, opened.width, ahead),
                opened.height,
                opened.width,
                self._patch_size,
                self._stride,
            )
            for square in squares:
                yield Patch(
                    image=square.image,
                    label=square.label,
                    bands=opened.bands,
                    scene_id=scene.scene_id,
                    sensor=scene.sensor,
                    gsd_m=opened.gsd_m,
                    sun_elevation_deg=opened.sun_elevation_deg,
                )
                self._progress.count_patch()


@contextmanager
def faults_of(scene: SourceScene) -> Iterator[None]:
    """Makes a SceneFault of what goes wrong with a scene's files, not of a full disk."""
    try:
        yield
    except SceneFault:
        raise
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        raise SceneFault(scene, error) from error


def read_ahead(read: ReadSquare, width: int, ahead: int) -> ReadSquare:
    """Reads `ahead` columns at once and hands out squares of them: files hold rows, not squares."""
    rows_held, columns_held = slice(0, 0), slice(0, 0)
    held: Window = np.empty((0, 0, 0), np.float32), np.empty((0, 0), np.uint8)

    def read_square(rows: slice, columns: slice) -> Window:
        nonlocal rows_held, columns_held, held
        first = columns_held.start
        if rows != rows_held or not first <= columns.start <= columns.stop <= columns_held.stop:
            first = columns.start
            last = min(max(first + ahead, columns.stop), width)
            rows_held, columns_held = rows, slice(first, last)
            held = read(rows_held, columns_held)
        image, label = held
        inside = slice(columns.start - first, columns.stop - first)
        return image[:, inside], label[:, inside]

    return read_square


def _check_opening(scenes: Iterable[SourceScene], progress: SceneProgress) -> None:
    """Opens what opens at once, so that most faults are found before hours of work."""
    for scene in progress.checking([scene for scene in scenes if not scene.packed]):
        with faults_of(scene), scene.open():
            pass
