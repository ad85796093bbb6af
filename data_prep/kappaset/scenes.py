"""The tiles of KappaSet: found and read, packed or not.

Axes: h and w height and width of a window, N bands.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from math import nan
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from data_prep.archives import SourceFile, find_files, on_disk
from data_prep.codes import INTEGERS, bits_of, check_size, scan_codes
from data_prep.sources import Found, OpenScene, SourceScene
from permjax import classes
from permjax.radiometry import linear
from permjax.rasters import open_raster, read_dn
from permjax.sensors import SENSORS

BANDS: Final = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
GSD_M: Final = 10.0

CODES: Final = {
    0: classes.UNLABELLED,  # missing
    1: classes.CLEAR,
    2: classes.CLOUD_SHADOW,
    3: classes.THIN_CLOUD,  # semi-transparent
    4: classes.THICK_CLOUD,
    5: classes.UNLABELLED,  # undefined
}

REFLECTANCE_MULT: Final = 6.5535
"""The files hold digital numbers / 65535; reflectance is digital number / 10000."""

STRADDLES: Final = "tiles of this scene lie in the folder test too: it tests"

_FOLDERS: Final = {
    "test": re.compile("test"),
    "train": re.compile(
        "January|February|March|April|May|June|July|August|September|October|November|December"
    ),
}
"""The folders of each split."""

# Tile of the grid, time of the acquisition, row and column of the piece.
_NAME: Final = re.compile(r"(T\d{2}[A-Z]{3}_\d{8}T\d{6})_tile_\d+_\d+")
_PRODUCT: Final = re.compile(r"(S2[A-D])_MSI(L1C|L2A)_(\d{8}T\d{6})_N\d{4}_R\d{3}_(T\d{2}[A-Z]{3})")

# The last digit of the time tells the satellite: Sentinel-2A's acquisitions are given times that
# end in 1, Sentinel-2B's times that end in 9.
_SATELLITES: Final = {"1": "S2A", "9": "S2B"}


# --- Finding --------------------------------------------------------------------------------


def find(source: Path) -> Found:
    """The tiles below a folder, or in an archive; one that lies there twice is read once.

    An unpacked tile is preferred to a packed one. All tiles of an acquisition go to one split: it
    tests if any of them lies in a folder `test`, and trains if they lie in folders of months.
    """
    files, faults = find_files(source)
    tiles: dict[str, SourceFile] = {}
    splits: dict[str, str] = {}
    for file in sorted(files, key=lambda file: file.archive is not None):
        if not file.basename.lower().endswith(".nc"):
            continue
        name = file.basename[: -len(".nc")]
        match = _NAME.fullmatch(name)
        if match is None or match[1][-1] not in _SATELLITES:
            faults.append(
                f"{file}: the name is out of convention: a tile is called such as "
                "T34UFA_20200401T093029_tile_3_9.nc, with a time that ends in 1 for Sentinel-2A "
                "and in 9 for Sentinel-2B"
            )
            continue
        tiles.setdefault(name, file)
        split = _folder_split(file)
        if split == "test" or (split and match[1] not in splits):
            splits[match[1]] = split
    if not tiles and not faults:
        raise FileNotFoundError(
            f"{source}: holds no tile of KappaSet, such as kappaset.zip or "
            "April/T34UFA_20200401T093029_tile_3_9.nc"
        )
    return Found([_scene(name, file, splits) for name, file in tiles.items()], faults)


def _folder_split(file: SourceFile) -> str | None:
    folders = [*Path(file.folder).parts]
    if file.archive is None:  # The source itself may be such a folder.
        folders.append(file.path.parent.name)
    splits = (split for split, names in _FOLDERS.items() if any(map(names.fullmatch, folders)))
    return next(splits, None)


def _scene(name: str, file: SourceFile, splits: dict[str, str]) -> SourceScene:
    scene_id = name.partition("_tile_")[0]
    sensor = f"sentinel2{_SATELLITES[scene_id[-1]][-1].lower()}_msi"
    split = splits.get(scene_id)
    straddles = split == "test" and _folder_split(file) != "test"
    return SourceScene(
        name=name,
        scene_id=scene_id,
        sensor=sensor,
        size_bytes=file.size_bytes,
        open=partial(_open, scene_id, sensor, file, (STRADDLES,) if straddles else ()),
        split=split,
        packed=file.archive is not None,
    )


# --- Reading --------------------------------------------------------------------------------


@contextmanager
def _open(
    scene_id: str, sensor: str, file: SourceFile, notes: tuple[str, ...]
) -> Iterator[OpenScene]:
    with on_disk([file]) as [path], ExitStack() as opening:
        _check_contents(path, scene_id)
        channels = [_variable(path, _band_variable(band), opening) for band in BANDS]
        label = _variable(path, "Label", opening)
        for channel in channels:
            if not channel.dtypes[0].startswith("float"):
                raise ValueError(
                    f"{channel.name}: holds {channel.dtypes[0]}, not float fractions of 65535"
                )
            check_size(channel, channels[0])
        check_size(label, channels[0])
        scan_codes(label, CODES, INTEGERS)
        bits = bits_of(CODES)

        def read(rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
            label_bits = bits[read_dn(label, 1, (rows, columns))]
            image = np.empty((*label_bits.shape, len(channels)), np.float32)
            for i, channel in enumerate(channels):
                image[..., i] = linear(read_dn(channel, 1, (rows, columns)), REFLECTANCE_MULT, 0)
            # Sentinel-2 writes 0 where there is no data.
            image[(image == 0).all(axis=2)] = nan
            return image, label_bits

        yield OpenScene(
            height=label.height,
            width=label.width,
            bands=SENSORS[sensor].describe(BANDS),
            gsd_m=GSD_M,
            sun_elevation_deg=nan,
            read=read,
            notes=notes,
        )


def _band_variable(band: str) -> str:
    return f"B{band[1:]:0>2}"


def _check_contents(path: Path, scene_id: str) -> None:
    """Refuses a file without all variables, or of another product than its name says."""
    with open_raster(path) as file:
        there = {re.split(r"[:/]", name)[-1] for name in file.subdatasets}
        product = _PRODUCT.search(file.tags().get("NC_GLOBAL#product_name", ""))
    wanted = [*map(_band_variable, BANDS), "Label"]
    missing = [name for name in wanted if name not in there]
    if missing:
        raise ValueError(
            f"{path}: its variable {missing[0]} is missing"
            + (f", and so are {', '.join(missing[1:])}" if missing[1:] else "")
        )
    if product:
        satellite, level, time, tile = product.groups()
        if (satellite, level, f"{tile}_{time}") != (_SATELLITES[scene_id[-1]], "L1C", scene_id):
            raise ValueError(f"{path}: is of {product[0]}, which is not what its name says")


def _variable(path: Path, name: str, opening: ExitStack) -> DatasetReader:
    # GDAL's netCDF reader would turn files without coordinates upside down.
    return opening.enter_context(open_raster(f'HDF5:"{path}"://{name}'))
