"""What the shipped weights are trained and tested on: folders of real samples, and their folds."""

import json
import shutil
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from data_prep import clouded, geotiff_folder, simulated
from data_prep.geotiff_folder import DEFAULT_TABLE
from data_prep.geotiff_folder.images import find_images
from data_prep.simulated import virtual_sensor
from permjax.sensors import Sensor, select_sensors
from recipes.snowfields import write_snowfields
from recipes.teacher import label_folders

LABELLED: Final = ("landsat8_biome", "sentinel2_radiant", "sentinel2_ukis")
"""Folders of images labelled by hand."""
UNLABELLED: Final = (
    "sentinel2_sen12mscr_pairs",
    "sentinel2_sen12mscr_timeseries",
    "sentinel2_sen12mscr_more",
    "landsat8_longisland",
)
"""Folders of images that the teacher labels."""
OTHERS: Final = ("sentinel2_clear", "sentinel2_weak", "landsat8_weak")
"""Folders labelled by eye as clear, or automatically."""
SNOWFIELDS: Final = 8
"""How many are made of each list of glacier pixels."""
HELD_OUT: Final[Mapping[str, tuple[str, ...]]] = {
    "sentinel2_clear": ("609U_541L_3_0",),  # snow
    "sentinel2_weak": ("desert_29RKH_20200219",),
    "snowfields": tuple(f"planetscope_{number}" for number in range(SNOWFIELDS)),
}
"""Bright and clear scenes that no weights are trained on before the final ones: they test."""

COPIES: Final[Mapping[str, int]] = {
    "taught": 25,
    "snowfields": 15,
    "sentinel2_clear": 50,
    "sentinel2_weak": 50,
}
"""Patches of each clear image under simulated clouds.

A few images get more copies than many, and snowfields, which resemble one another, the fewest. The
clear images of `landsat8_weak` are cloudy.
"""

FOLDS: Final = 5
NAMED: Final = ("landsat5_tm", "landsat7_etm", "landsat8_oli_tirs", "sentinel2a_msi")
VIRTUAL: Final = 40
SCENES: Final = {"named": 600, "virtual": 60, "landsat5_mss": 200}
"""Simulated scenes of each sensor to train on."""
FROZEN_SCENES: Final = {"named": 300, "virtual": 30}
"""More of them, all with snow or ice, which is rare in the others and hard to tell from cloud."""


def folds(samples: Path) -> dict[Path, int]:
    """The fold of each image labelled by hand, dealt in the order of folders and names."""
    images = [image for folder in LABELLED for image in find_images(samples / folder)[0]]
    return {image: i % FOLDS for i, image in enumerate(images)}


def virtual_sensors() -> list[Sensor]:
    """The sensors that do not exist."""
    return [virtual_sensor(seed) for seed in range(VIRTUAL)]


def write_virtual_sensors(folder: Path) -> None:
    """Describes each of them in a TOML file, as `train.py --sensors` takes it."""
    folder.mkdir(parents=True, exist_ok=True)
    for sensor in virtual_sensors():
        lines = ["[[sensor]]"]
        for name in ("name", "title", "source", "gsd_m"):
            lines.append(f"{name} = {json.dumps(getattr(sensor, name))}")
        for band in sensor.bands:
            lines.append("[[sensor.bands]]")
            traits = asdict(band) | {"kind": band.kind.word}
            lines += [f"{name} = {json.dumps(value)}" for name, value in traits.items()]
        (folder / f"{sensor.name}.toml").write_text("\n".join(lines) + "\n")


def simulate(records: Path) -> None:
    """Simulated scenes of Landsat, Sentinel-2 and random sensors; what is there stays."""
    sensors = select_sensors(NAMED)
    simulated.build(records, sensors, train=SCENES["named"], validation=0, test=30)
    mss, train = select_sensors(["landsat5_mss"]), SCENES["landsat5_mss"]
    simulated.build(records, mss, train=train, validation=0, test=30)
    virtual = SCENES["virtual"]
    simulated.build(records, virtual_sensors(), train=virtual, validation=0, test=0)
    frozen = partial(simulated.build, validation=0, test=0, seed=1, only_frozen=True)
    frozen(records, sensors, train=FROZEN_SCENES["named"])
    frozen(records, virtual_sensors(), train=FROZEN_SCENES["virtual"])


def pack(samples: Path, folder: Path, records: Path) -> None:
    """All but the images labelled by hand that test, as they are and under simulated clouds.

    Args:
        samples: the folder of samples.
        folder: for what is made on the way: labels of the teacher, snowfields, tables.
        records: where data sets are put; those that are there stay.

    Raises:
        ValueError: as `pack_source`.
    """
    unlabelled = [samples / name for name in UNLABELLED]
    _make_once(folder / "taught", lambda place: label_folders(unlabelled, place))
    pixels = samples / "glacier_pixels"
    _make_once(folder / "snowfields", lambda place: write_snowfields(pixels, place, SNOWFIELDS))
    for name in ("taught", "snowfields", *OTHERS):
        table, test = folder / f"{name}.toml", HELD_OUT.get(name, ())
        source = source_of(name, samples, folder)
        pack_source(records, source, table, test, COPIES.get(name, 0))


def pack_held_out(samples: Path, folder: Path, records: Path) -> None:
    """The folders of which some scenes were held out, whole; what is there stays."""
    for name in HELD_OUT:
        table = folder / "tables" / "final" / f"{name}.toml"
        pack_source(records, source_of(name, samples, folder), table, ())


def pack_labelled(samples: Path, folder: Path, records: Path, test: Iterable[Path]) -> None:
    """The images labelled by hand, some of them held out; what is there stays.

    Raises:
        ValueError: as `pack_source`.
    """
    test = set(test)
    for name in LABELLED:
        images = find_images(samples / name)[0]
        held_out = [image.stem for image in images if image in test]
        table = folder / f"{name}.toml"
        if len(held_out) < len(images):
            pack_source(records, samples / name, table, held_out)
            continue
        if _packed(records, samples / name):
            check_table(table, held_out, records)
        write_table(table, held_out)


def check_held_out(folder: Path, records: Path, test: Iterable[Path]) -> None:
    """Sees to it that the tables that `pack_labelled` wrote into a folder hold these images out.

    Raises:
        ValueError: as `check_table`.
    """
    test = tuple(test)
    for name in LABELLED:
        own = [image.stem for image in test if image.parent.name == name]
        check_table(folder / f"{name}.toml", own, records)


def source_of(name: str, samples: Path, folder: Path) -> Path:
    """A folder of images: the recipe's own in `folder`, or else one of the samples."""
    return folder / name if (folder / name).is_dir() else samples / name


def pack_source(
    records: Path, source: Path, table: Path, test: Iterable[str], copies: int = 0
) -> None:
    """Packs a folder of images, unless it is packed already.

    Args:
        records: where data sets are put.
        source: the folder.
        table: the file of the table, which is written.
        test: the scenes that are held out.
        copies: patches of each clear image under simulated clouds, packed beside them.

    Raises:
        ValueError: it is packed already, by another table.
    """
    test = tuple(test)
    if _packed(records, source):
        check_table(table, test, records)
    write_table(table, test)
    build = partial(geotiff_folder.build, table=table)
    _build_once(records, "geotiff_folder", source, build)
    if copies:
        build = partial(clouded.build, table=table, copies=copies)
        _build_once(records, "clouded", source, build)


def _packed(records: Path, source: Path) -> bool:
    return any((records / "geotiff_folder").glob(f"{source.name}-*"))


def _make_once(folder: Path, make: Callable[[Path], None]) -> None:
    """Makes a folder unless it is there; it has another name until it is complete."""
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        make(unfinished)
        unfinished.rename(folder)


def _build_once(
    records: Path, kind: str, source: Path, build: Callable[[Path, Path], object]
) -> None:
    """Builds the data sets of a folder unless they are there; a stopped build begins anew."""
    # It is there as long as a build is not through, since one builds several data sets in turn.
    unfinished = records / f"{kind}-{source.name}.unfinished"
    there = [*(records / kind).glob(f"{source.name}-*")]
    if there and not unfinished.exists():
        return
    for half_made in there:
        shutil.rmtree(half_made)
    records.mkdir(parents=True, exist_ok=True)
    unfinished.touch()
    build(records, source)
    unfinished.unlink()


def table_text(test: Iterable[str]) -> str:
    """The default table with all scenes in `train` but those that are to test."""
    names = ", ".join(f'"{scene}"' for scene in test)
    return f"{DEFAULT_TABLE.read_text()}\n[splits]\ntest = [{names}]\n"


def write_table(path: Path, test: Iterable[str]) -> Path:
    """Writes `table_text`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table_text(test))
    return path


def check_table(path: Path, test: Iterable[str], records: Path) -> None:
    """Sees to it that the table by which records were packed holds out these scenes.

    Raises:
        ValueError: it holds out others, as after images were added or removed, or is gone.
    """
    if not path.exists():
        raise ValueError(
            f"{path}, which tells the images that {records} holds out, is gone: remove {records} "
            "and the run that was trained on it"
        )
    splits = tomllib.loads(path.read_text())["splits"]
    if sorted(splits["test"]) != sorted(test):
        raise ValueError(
            f"{path}, by which images are held out, would be another today, so that some would "
            f"test that were trained on: remove {records} and the run that was trained on it"
        )
