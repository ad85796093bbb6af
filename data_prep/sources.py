"""What a public data set is to the commands of this folder: what it is, and how its scenes read.

A data set is a folder here whose `__init__.py` has one `DATA_SET`. Its name stands in `NAMES`.

Axes: h and w height and width of a window, N bands.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from data_prep.patches import SPLITS, ReadSquare
from data_prep.records import RecordsBuilder
from permjax.bands import BandDescription
from permjax.sensors import SENSORS

NAMES: Final = (
    "landsat8_biome",  # One a line, in the order of --list.
    "landsat7_irish",
    "sentinel2_catalogue",
    "kappaset",
    "landsat8_sparcs",
    "cloudsen12",
    "cloud38",
)


@dataclass(frozen=True, eq=False)
class OpenScene:
    """A scene whose files are open.

    Args:
        height: rows of the scene.
        width: columns of the scene.
        bands: descriptions of the N bands, arrays [N].
        gsd_m: size of a pixel on the ground, metres.
        sun_elevation_deg: degrees above the horizon, NaN = unknown.
        read: rows and columns, as slices inside the scene, to image float32 [h, w, N] (reflectance
            or kelvin, NaN = no data) and label uint8 [h, w] (bits of `permjax.classes`). Raises
            OSError or ValueError, which name the file.
        notes: what the records cannot show: the convention found, what is missing and what was done
            instead; one sentence each, the same words for all scenes that it is true of.
    """

    height: int
    width: int
    bands: BandDescription
    gsd_m: float
    sun_elevation_deg: float
    read: ReadSquare
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SourceScene:
    """A part of a data set that opens as one image: a scene, or a piece of one.

    Args:
        name: its own among all of the data set; what people know it by.
        scene_id: the acquisition that it is of; all that has one scene_id goes to one split.
        sensor: key of `permjax.sensors.SENSORS`.
        size_bytes: of the files that are read, for the progress bar.
        open: opens its files, closes them at the end of `with`. Raises OSError or ValueError, one
            sentence that names file and fault.
        split: the published one; None = dealt by `patches.assign_splits`.
        packed: it lies in an archive, and is unpacked to be opened.
        config: the set of records that it goes to, as one data set may hold several sensors or
            levels; empty = the sensor's name.

    Raises:
        ValueError: there is no such sensor or split.
    """

    name: str
    scene_id: str
    sensor: str
    size_bytes: int
    open: Callable[[], AbstractContextManager[OpenScene]]
    split: str | None = None
    packed: bool = False
    config: str = ""

    def __post_init__(self) -> None:
        if self.sensor not in SENSORS:
            raise ValueError(f"{self.name}: there is no sensor {self.sensor!r}")
        if self.split is not None and self.split not in SPLITS:
            raise ValueError(f"{self.name}: there is no split {self.split!r}")


@dataclass(frozen=True)
class Found:
    """What lies in a folder or archive.

    Args:
        scenes: in the order in which they are best read (that of an archive).
        faults: one sentence for each file or scene that should be usable and is not.
    """

    scenes: list[SourceScene]
    faults: list[str]


@dataclass(frozen=True)
class DataSet:
    """A public labelled data set, as `--list`, `check`, `build` and the README need it.

    Args:
        name: of the folder here, and of the folder of records.
        title: a few words.
        sensor: for people, such as "Landsat 8".
        scene_count: how many `SourceScene`s the whole of it has.
        download: how much there is to fetch, such as "88 GB".
        licence: its name or SPDX identifier.
        where: the address of the page to fetch it from, or its doi.
        find: folder or archive to what lies there; opens no image. Raises FileNotFoundError where
            there is nothing of this data set.
        builder: the TFDS builder class beside it.
        missing: which of the scenes that its publisher lists are not among these `scene_id`s, in
            the order of their names; none where there is no such list.
    """

    name: str
    title: str
    sensor: str
    scene_count: int
    download: str
    licence: str
    where: str
    find: Callable[[Path], Found]
    builder: type[RecordsBuilder]
    missing: Callable[[Collection[str]], list[str]] = lambda _: []


def data_set(name: str) -> DataSet:
    """The data set of this name, one of `NAMES`."""
    return import_module(f"data_prep.{name}").DATA_SET
