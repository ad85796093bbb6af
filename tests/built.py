"""Reads back what the builders wrote."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_prep.packing import pack
from data_prep.sources import data_set
from permjax.radiometry import dequantise

SPLITS = ("train", "validation", "test")


def build(name: str, source: Path, data_dir: Path, **options: Any) -> Path:
    """The one directory of records of a data set."""
    [directory] = pack(data_set(name), source, data_dir, **options)
    return directory


def read(directory: Path, split: str) -> list[dict[str, Any]]:
    """The records of a split; none where there is no such split."""
    builder = tfds.builder_from_directory(directory)
    if split not in builder.info.splits:
        return []
    return list(builder.as_data_source(split))  # pyright: ignore[reportCallIssue]


def read_all(directory: Path) -> list[dict[str, Any]]:
    """The records of all splits."""
    return [record for split in SPLITS for record in read(directory, split)]


def metadata(directory: Path) -> dict[str, Any]:
    """What stands beside the records."""
    return dict(tfds.builder_from_directory(directory).info.metadata or {})


def image_of(record: dict[str, Any]) -> np.ndarray:
    """The physical values of a record, NaN = no data."""
    return dequantise(record["image"], record["scale"], record["offset"])


def assert_same_records(directory: Path, other: Path) -> None:
    """Two directories hold the same records in the same order."""
    for split in SPLITS:
        records, others = read(directory, split), read(other, split)
        assert len(records) == len(others)
        for one, two in zip(records, others, strict=True):
            assert one.keys() == two.keys()
            for key in one:
                np.testing.assert_array_equal(one[key], two[key], err_msg=key)
