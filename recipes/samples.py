"""What the shipped weights are trained and tested on: folders of real samples, and their folds."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
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
HELD_OUT: Final[Mapping[str, tuple[str, ...]]] = {
    "sentinel2_clear": ("609U_541L_3_0",),  # snow
    "sentinel2_weak": ("desert_29RKH_20200219",),
    "snowfields": tuple(f"planetscope_{number}" for number in range(8)),
}
"""Bright and clear scenes that no weights are trained on before the final ones: they test."""

FOLDS: Final = 5
NAMED: Final = ("landsat5_tm", "landsat7_etm", "landsat8_oli_tirs", "sentinel2a_msi")
VIRTUAL: Final = 40
SCENES: Final = {"named": 600, "virtual": 60, "landsat5_mss": 200}
"""Simulated scenes of each sensor to train on."""


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


def pack(samples: Path, folder: Path, records: Path, held_out: bool) -> None:
    """The images without labels made by hand, as they are and under simulated clouds.

    Args:
        samples: the folder of samples.
        folder: for what is made on the way: labels of the teacher, snowfields.
        records: where data sets are put; those that are there stay.
        held_out: leave `HELD_OUT` out.
    """
    taught, snow = folder / "taught", folder / "snowfields"
    if not taught.exists():
        label_folders([samples / name for name in UNLABELLED], taught)
    if not snow.exists():
        write_snowfields(samples / "glacier_pixels", snow, count=8)
    for source in (taught, snow, *(samples / name for name in OTHERS)):
        test = HELD_OUT.get(source.name, ()) if held_out else ()
        table = write_table(folder / f"{source.name}.toml", test)
        if not any((records / "geotiff_folder").glob(f"{source.name}-*")):
            geotiff_folder.build(records, source, table=table)
        clear = source.name != "landsat8_weak"  # Its clear images are cloudy.
        if clear and not any((records / "clouded").glob(f"{source.name}-*")):
            copies = 25 if source == taught else 15 if source == snow else 50
            clouded.build(records, source, table=table, copies=copies)


def pack_held_out(samples: Path, folder: Path, records: Path) -> None:
    """The folders of which some scenes were held out, whole; what is there stays."""
    for name in HELD_OUT:
        source = folder / name if (folder / name).is_dir() else samples / name
        table = write_table(folder / "tables" / "final" / f"{name}.toml", ())
        if not any((records / "geotiff_folder").glob(f"{name}-*")):
            geotiff_folder.build(records, source, table=table)


def pack_labelled(samples: Path, folder: Path, records: Path, test: Iterable[Path]) -> None:
    """The images labelled by hand, some of them held out; what is there stays."""
    test = set(test)
    for name in LABELLED:
        images = find_images(samples / name)[0]
        held_out = [image.stem for image in images if image in test]
        table = write_table(folder / f"{name}.toml", held_out)
        if len(held_out) < len(images) and not any((records / "geotiff_folder").glob(f"{name}-*")):
            geotiff_folder.build(records, samples / name, table=table)


def write_table(path: Path, test: Iterable[str]) -> Path:
    """Writes the default table with all scenes in `train` but those that are to test."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ", ".join(f'"{scene}"' for scene in test)
    path.write_text(f"{DEFAULT_TABLE.read_text()}\n[splits]\ntest = [{names}]\n")
    return path
