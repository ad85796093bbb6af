"""Parts of a data set, written: a file of records each, and a note when it is whole."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import rasterio
from array_record.python.array_record_module import ArrayRecordWriter
from numpy.typing import NDArray

from data_prep.patches import Patch, ReadSquare, cut_patches, features, record
from data_prep.sources import SourceScene
from data_prep.unfinished import Outcome, Part, Work

CACHE_MB: Final = 64
"""What GDAL keeps of files it reads, in each process."""

AHEAD_BYTES: Final = 24_000_000
"""Of a row of patches that is read at once: files hold rows, and reading each patch by itself took
three times as long (a Landsat scene, 256 pixels)."""

RECORD_OPTIONS: Final = "group_size:1,zstd:1"
"""A record a group, as TFDS writes them, so that each is read by itself. At its default, zstd:3,
compression takes three times as long and saves 6 % (measured with a smooth scene and noise)."""

Window = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""Image float32 [h, w, N] and label uint8 [h, w]."""

Advance = Callable[[str, float, int], None]
"""Told, as it happens, the name of a scene, which share of it is read, and how many patches it has
given. May raise to end the work."""


class SceneFault(ValueError):  # noqa: N818  # The word of the messages.
    """A scene cannot be used; the message names file and fault.

    Args:
        scene: its name.
        said: the fault.
    """

    def __init__(self, scene: str, said: str) -> None:
        super().__init__(scene, said)  # All that it is made of, so that processes can send it.
        self.scene, self.said = scene, said

    def __str__(self) -> str:
        return self.said if self.scene in self.said else f"scene {self.scene}: {self.said}"


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
        raise SceneFault(scene.name, str(error)) from error


@dataclass(frozen=True, eq=False)
class Packer:
    """How parts are written.

    Args:
        work: where.
        patch_size: side of a patch in pixels.
        stride: pixels from one patch to the next.
        keep_going: leave scenes out that cannot be used.
    """

    work: Work
    patch_size: int
    stride: int
    keep_going: bool

    def write(self, part: Part, advance: Advance) -> Outcome:
        """Writes a part, and the note that it is whole.

        Raises:
            SceneFault: a scene cannot be used; nothing of the part is noted.
        """
        left_out: dict[str, str] = {}
        with rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
            while True:  # Begun anew without a scene that turns out to have a fault.
                outcome = Outcome(left_out=left_out)
                try:
                    self._write_scenes(part, outcome, advance)
                    break
                except SceneFault as fault:
                    if not self.keep_going:
                        raise
                    left_out[fault.scene] = str(fault)
        self.work.note(part, outcome)
        return outcome

    def _write_scenes(self, part: Part, outcome: Outcome, advance: Advance) -> None:
        path = self.work.path(part)
        unfinished = path.with_name(f"{path.name}.part")
        scenes = [scene for scene in part.scenes if scene.name not in outcome.left_out]
        form = features()
        writer = ArrayRecordWriter(str(unfinished), RECORD_OPTIONS)
        try:
            for scene in scenes:
                for patch in self._patches(scene, outcome, advance):
                    writer.write(form.serialize_example(record(patch)))
                    outcome.patches += 1
        finally:
            writer.close()
        unfinished.replace(path)

    def _patches(self, scene: SourceScene, outcome: Outcome, advance: Advance) -> Iterator[Patch]:
        count = 0
        with faults_of(scene), scene.open() as opened:
            if opened.notes:
                outcome.notes[scene.name] = list(opened.notes)

            def read(rows: slice, columns: slice) -> Window:
                advance(scene.name, rows.start / opened.height, count)
                return opened.read(rows, columns)

            ahead = AHEAD_BYTES // (self.patch_size * len(opened.bands.kind) * 4)
            squares = cut_patches(
                read_ahead(read, opened.width, ahead),
                opened.height,
                opened.width,
                self.patch_size,
                self.stride,
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
                count += 1
        advance(scene.name, 1.0, count)


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
