"""What the data sets of labelled Landsat scenes share: where files lie, bands, windows.

Axes: h and w height and width of a window, N bands.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from math import nan
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from data_prep.archives import SourceFile, on_disk, unpacked
from data_prep.codes import check_size
from data_prep.sources import OpenScene, SourceScene
from permjax import classes
from permjax.mtl import Mtl
from permjax.radiometry import linear
from permjax.rasters import PhysicalValues, open_raster, read_dn
from permjax.sensors import SENSORS

GSD_M: Final = 30.0

NO_MTL: Final = "no MTL: sun elevation unknown, reflectance without the sun-angle term"
NO_SHADOW: Final = "no shadow labelled: clear means clear or cloud shadow"

LANDSAT8_REFLECTANCE: Final = partial(linear, mult=2e-5, add=-0.1)
"""Landsat 8's factors of reflectance are the same in every product (Landsat 8 Data Users Handbook,
section 5); not divided by the sine of the sun's elevation."""

Files = dict[str, Path]
"""The files of a scene by part, such as "B1" or "MTL"; "" is the file of all bands."""

Places = dict[tuple[Path | None, str], list[SourceFile]]
"""The files of a scene by where they lie: archive, if any, and folder."""


@dataclass(frozen=True)
class Layout:
    """How the whole scenes of a data set lie in folders, or in an archive for each.

    Its functions are a module's own, so that they can be sent to other processes.

    Args:
        sensor: key of `permjax.sensors.SENSORS`.
        label: names of label files.
        is_read: whether a scene, by its name, needs a file of this name.
        open: opens a scene, by its name, from the paths of the files that it needs.
    """

    sensor: str
    label: re.Pattern[str]
    is_read: Callable[[str, str], bool]
    open: Callable[[str, Sequence[Path]], AbstractContextManager[OpenScene]]


class Channel(NamedTuple):
    """A band: open file, index in it, and what its digital numbers mean."""

    dataset: DatasetReader
    number: int
    physical: PhysicalValues


# --- Finding --------------------------------------------------------------------------------


def add_file(loose: dict[str, Places], scene: str, file: SourceFile) -> None:
    """Adds a file that is not in an archive of its scene alone."""
    where = (file.path if file.archive else None, file.folder)
    loose.setdefault(scene, {}).setdefault(where, []).append(file)


def preferred(
    loose: Mapping[str, Places], packed: Mapping[str, SourceFile], layout: Layout
) -> tuple[dict[str, Places], dict[str, SourceFile]]:
    """Each scene once: unpacked where it has a label there, else in its archive if there is one."""
    kept = {name: of for name, of in loose.items() if name not in packed or _labelled(of, layout)}
    return kept, {name: file for name, file in packed.items() if name not in kept}


def in_order(places: Places) -> list[list[SourceFile]]:
    """The files of each place; None, no archive, first."""
    return [places[p] for p in sorted(places, key=lambda place: (place[0] is not None, str(place)))]


def _labelled(places: Places, layout: Layout) -> list[list[SourceFile]]:
    """The files of each place that has a label."""
    return [f for f in in_order(places) if any(layout.label.fullmatch(x.basename) for x in f)]


def loose_scene(layout: Layout, name: str, places: Places, split: str | None = None) -> SourceScene:
    """A scene of the first place that has a label, or of the first place."""
    of_first = (_labelled(places, layout) or in_order(places))[0]
    files = [file for file in of_first if layout.is_read(name, file.basename)]
    return SourceScene(
        name=name,
        scene_id=name,
        sensor=layout.sensor,
        size_bytes=sum(file.size_bytes for file in files),
        open=partial(_open_loose, layout, name, files),
        split=split,
        packed=any(file.archive for file in files),
    )


def packed_scene(
    layout: Layout, name: str, archive: SourceFile, split: str | None = None
) -> SourceScene:
    """A scene in an archive of its own."""
    return SourceScene(
        name=name,
        scene_id=name,
        sensor=layout.sensor,
        size_bytes=archive.size_bytes,
        open=partial(_open_packed, layout, name, archive.path),
        split=split,
        packed=True,
    )


@contextmanager
def _open_loose(layout: Layout, name: str, files: Sequence[SourceFile]) -> Iterator[OpenScene]:
    with on_disk(files) as paths, layout.open(name, paths) as opened:
        yield opened


@contextmanager
def _open_packed(layout: Layout, name: str, archive: Path) -> Iterator[OpenScene]:
    with unpacked(archive) as files:
        own = [file for file in files if layout.is_read(name, file.basename)]
        if not own:
            raise ValueError(f"{archive}: holds no file of the scene {name}")
        with _open_loose(layout, name, own) as opened:
            yield opened


# --- Reading --------------------------------------------------------------------------------


def open_channels(
    files: Files,
    physical: Mapping[str, PhysicalValues],
    stack: Sequence[str],
    dtype: str,
    stem: str,
    opening: ExitStack,
) -> list[Channel]:
    """The bands of a scene, from a file each or from the file of all.

    Args:
        files: of the scene.
        physical: by part, in the order of the bands, what digital numbers mean.
        stack: the parts that are the bands of the file of all.
        dtype: of digital numbers.
        stem: what names of files of a band begin with, for messages.
        opening: closes the files.

    Raises:
        FileNotFoundError: a file is missing; the message names it.
        OSError, ValueError: a file is damaged, or not what it should be; the message names it.
    """
    if "" in files:
        whole = opening.enter_context(_open_numbers(files[""], dtype))
        if whole.count != len(stack):
            raise ValueError(
                f"{files['']}: has {whole.count} bands, not the {len(stack)} from {stack[0]} to "
                f"{stack[-1]}"
            )
        return [Channel(whole, stack.index(part) + 1, p) for part, p in physical.items()]
    missing = [part for part in physical if part not in files]
    if missing:
        folder = next(iter(files.values())).parent
        raise FileNotFoundError(
            f"{folder}: {stem}_{missing[0]}.TIF is missing"
            + (f", and so are {', '.join(missing[1:])}" if missing[1:] else "")
        )
    datasets = [opening.enter_context(_open_numbers(files[part], dtype)) for part in physical]
    for dataset in datasets:
        check_size(dataset, datasets[0])
    return [Channel(d, 1, p) for d, p in zip(datasets, physical.values(), strict=True)]


def _open_numbers(path: Path, dtype: str) -> DatasetReader:
    dataset = open_raster(path)
    if set(dataset.dtypes) != {dtype}:
        dataset.close()
        raise ValueError(f"{path}: holds {dataset.dtypes[0]}, not {dtype} digital numbers")
    return dataset


def read_landsat8_mtl(path: Path, scene_id: str) -> Mtl:
    """The MTL of a scene of Landsat 8.

    Raises:
        ValueError: it is damaged, or of another satellite or scene; the message names it.
    """
    mtl = Mtl(path)
    if mtl["SPACECRAFT_ID"] != "LANDSAT_8":
        raise ValueError(f"{path}: is of {mtl['SPACECRAFT_ID']}, not of LANDSAT_8")
    # The station and version at the end change when a product is made anew.
    other = mtl.get("LANDSAT_SCENE_ID", scene_id)
    if other[:16] != scene_id[:16]:
        raise ValueError(f"{path}: is of another scene, {other}")
    return mtl


def open_scene(
    sensor: str,
    bands: Sequence[str],
    channels: Sequence[Channel],
    label: DatasetReader,
    label_bits: NDArray[np.uint8],
    *,
    mtl: Mtl | None,
    notes: Mapping[str, bool],
    zero_is_unlabelled: bool = False,
) -> OpenScene:
    """A scene whose files are open; digital number 0 is no data.

    Args:
        sensor: key of `permjax.sensors.SENSORS`.
        bands: its names of the N bands.
        channels: the N bands.
        label: codes, on the grid of the bands.
        label_bits: the label of each code, uint8 [256].
        mtl: tells the sun's elevation; None = unknown.
        notes: as `OpenScene`, each with whether it is true of this scene.
        zero_is_unlabelled: codes tell nothing where any band is 0.
    """

    def read(rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        labels = label_bits[read_dn(label, 1, (rows, columns))]
        image = np.empty((*labels.shape, len(channels)), np.float32)
        for i, channel in enumerate(channels):
            dn = read_dn(channel.dataset, channel.number, (rows, columns))
            image[..., i] = np.where(dn == 0, np.float32(nan), channel.physical(dn))
            if zero_is_unlabelled:
                labels[dn == 0] = classes.UNLABELLED
        return image, labels

    return OpenScene(
        height=label.height,
        width=label.width,
        bands=SENSORS[sensor].describe(bands),
        gsd_m=GSD_M,
        sun_elevation_deg=nan if mtl is None else mtl.sun_elevation_deg(),
        read=read,
        notes=tuple(note for note, holds in notes.items() if holds),
    )
