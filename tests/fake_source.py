"""A data set that is made up: scenes of one value each, in no file."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from data_prep.landsat8_biome import DATA_SET
from data_prep.sources import DataSet, Found, OpenScene, SourceScene
from permjax.sensors import SENSORS

OLI = "landsat8_oli_tirs"


@contextmanager
def open_constant(value: float, fault: str | None = None, label: int = 1) -> Iterator[OpenScene]:
    """A scene of 20 x 8 pixels of one value and label; with a fault, half of it can be read."""

    def read(rows: slice, columns: slice):
        if fault and rows.start >= 8:
            raise OSError(fault)
        shape = rows.stop - rows.start, columns.stop - columns.start
        return np.full((*shape, 1), value, np.float32), np.full(shape, label, np.uint8)

    bands = SENSORS[OLI].describe(["B4"])
    yield OpenScene(20, 8, bands, 30.0, 45.0, read, notes=("made up",))


def scene(index: int, fault: str | None = None, **changes) -> SourceScene:
    """The scene `s<index>`, each value a thousandth of its number."""
    parts = {
        "name": f"s{index}",
        "scene_id": f"s{index}",
        "sensor": OLI,
        "size_bytes": 160,
        "open": lambda: open_constant(index / 1000, fault),
    }
    return SourceScene(**parts | changes)


def made_up(scenes: list[SourceScene], faults: tuple[str, ...] = ()) -> DataSet:
    """A data set of these scenes, found with these faults."""
    found = Found(scenes, list(faults))
    name = DATA_SET.builder.name
    return DataSet(name, "", "", 1, "", "", "", lambda _: found, DATA_SET.builder)
