"""The records of the experiment: which are trained and tested on, and with which bands.

Axes: N bands.
"""

from collections.abc import Sequence
from typing import Any

from permjax.bands import BandDescription
from permjax.data import Dataset, Split, describe
from permjax.experiments.bands_used import name_bands
from permjax.experiments.matching import shared_bands
from permjax.experiments.settings import ThreeWay


def records_of(
    settings: ThreeWay, family: str, datasets: Sequence[Dataset], split: Split
) -> list[Dataset]:
    """The datasets of a family that have records in a split.

    Raises:
        FileNotFoundError: none has any.
    """
    names = {sensor.name for sensor in settings.family(family)}
    found = [d for d in datasets if d.sensor in names and len(d.records(split))]
    if not found:
        raise FileNotFoundError(
            f"none of the {settings.data} records of {family} in {settings.records_dir} "
            f"has a {split} split: prepare more scenes"
        )
    return found


def count_records(datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """Of each dataset its `name` and the numbers of records to `train` and to `test`."""
    return [
        {"name": d.name, "train": len(d.records("train")), "test": len(d.records("test"))}
        for d in datasets
    ]


def bands_of_other(settings: ThreeWay, datasets: Sequence[Dataset]) -> list[BandDescription]:
    """What the model of the other family is trained on: the bands `[N]` of each of its datasets.

    Raises:
        FileNotFoundError: none of them has training records.
    """
    trained = records_of(settings, settings.other, datasets, "train")
    return [describe(dataset, "train") for dataset in trained]


def name_shared_bands(settings: ThreeWay, datasets: Sequence[Dataset]) -> dict[str, list[str]]:
    """By the name of each dataset tested on, its bands that the other family's model knows.

    Raises:
        FileNotFoundError: there are no records to test on, or none of the other family to train on.
        ValueError: a dataset has no such band.
    """
    other = bands_of_other(settings, datasets)
    own = {sensor.name: sensor for sensor in settings.family(settings.test)}
    shared = {}
    for dataset in records_of(settings, settings.test, datasets, "test"):
        bands = describe(dataset, "test")
        named = name_bands(own[dataset.sensor], bands.wavelength_nm)
        shared[dataset.name] = [
            band["name"] or f"{band['wavelength_nm']:g} nm"
            for band, is_shared in zip(named, shared_bands(bands, other), strict=True)
            if is_shared
        ]
    if apart := [name for name, bands in shared.items() if not bands]:
        raise ValueError(
            f"{', '.join(apart)} has no band in common with what there is of {settings.other} to "
            "train on: prepare other records"
        )
    return shared


def require_records(settings: ThreeWay, datasets: Sequence[Dataset]) -> None:
    """Tell before the training what would otherwise stop the experiment after it.

    Raises:
        FileNotFoundError: a family has no records to train on, or that tested on none to test.
        ValueError: the families have no band in common.
    """
    records_of(settings, settings.test, datasets, "train")
    name_shared_bands(settings, datasets)


def require_scenes(settings: ThreeWay, datasets: Sequence[Dataset]) -> None:
    """Compare simulated records that are there with the number of scenes that is asked for.

    Raises:
        ValueError: a dataset was simulated with another number.
    """
    asked = (settings.scenes, settings.scenes // 2)
    for name, *numbers in (records.values() for records in count_records(datasets)):
        if tuple(numbers) != asked:
            raise ValueError(
                f"{name} in {settings.records_dir} holds {numbers[0]} scenes to train on and "
                f"{numbers[1]} to test on, but --scenes={settings.scenes} asks for {asked[0]} and "
                f"{asked[1]}: give the number that was simulated, or another directory"
            )
