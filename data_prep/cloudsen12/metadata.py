"""The table that comes with CloudSEN12: split, satellite and sun of each image."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Final

LABEL_TYPES: Final = ("high", "scribble", "nolabel")
SPLITS: Final = {
    "0": "train",
    "1": "validation",
    "2": "test",
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}
"""The split that the columns `test` and `split`, and the folders of memory maps, name."""

FIRST_SATELLITE: Final = "satellite not named: bands described as those of Sentinel-2A"
NO_SUN: Final = "sun elevation unknown"

_SATELLITES: Final = {f"S2{letter}": f"sentinel2{letter.lower()}_msi" for letter in "ABC"}


@dataclass(frozen=True)
class Row:
    """What the table says of an image.

    Args:
        roi: region of interest, such as "ROI_0530".
        product: as Earth Engine calls it, such as "20200727T191919_20200727T192203_T10VFJ".
        label_type: one of `LABEL_TYPES`.
        split: one of `data_prep.patches.SPLITS`.
        sensor: key of `permjax.sensors.SENSORS`.
        sun_elevation_deg: degrees above the horizon, NaN = unknown.
        notes: what is missing.
    """

    roi: str
    product: str
    label_type: str
    split: str
    sensor: str
    sun_elevation_deg: float
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its own among all images; a product may lie in several regions."""
        return f"{self.roi}__{self.product}"


def read_metadata(path: Path) -> list[Row]:
    """The rows of `cloudsen12_metadata.csv` or of a `metadata.csv`, in their order.

    Raises:
        ValueError: it is no such table, or a row cannot be used; the message names file and row.
    """
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        table = csv.DictReader(file)
        columns = set(table.fieldnames or ())
        missing = [name for name in ("roi_id", "s2_id_gee", "label_type") if name not in columns]
        if missing or not columns & {"test", "split"}:
            raise ValueError(
                f"{path}: has no column {', '.join(missing) or 'test'}; it is not the table of "
                "CloudSEN12, or damaged"
            )
        try:
            return [_row(cells, f"{path}: row {i}") for i, cells in enumerate(table, start=1)]
        except csv.Error as error:
            raise ValueError(f"{path}: cannot be read as a table: {error}") from None


def _row(cells: Mapping[str, str | None], where: str) -> Row:
    cells = {name: (cell or "").strip() for name, cell in cells.items() if isinstance(name, str)}
    label_type, split = cells["label_type"], cells.get("test") or cells.get("split", "")
    if label_type not in LABEL_TYPES:
        raise ValueError(f"{where}: label_type {label_type!r} is none of {', '.join(LABEL_TYPES)}")
    if split not in SPLITS:
        raise ValueError(f"{where}: test {split!r} is not 0 (train), 1 (validation) or 2 (test)")
    if not cells["roi_id"] or not cells["s2_id_gee"]:
        raise ValueError(f"{where}: names no image in roi_id and s2_id_gee")
    sensor = _SATELLITES.get(cells.get("s2_id", "")[:3])
    sun_elevation_deg = _sun_elevation_deg(cells.get("s2_view_sun_elevation", ""), where)
    return Row(
        roi=cells["roi_id"],
        product=cells["s2_id_gee"],
        label_type=label_type,
        split=SPLITS[split],
        sensor=sensor or _SATELLITES["S2A"],
        sun_elevation_deg=sun_elevation_deg,
        notes=(
            *([] if sensor else [FIRST_SATELLITE]),
            *([] if isfinite(sun_elevation_deg) else [NO_SUN]),
        ),
    )


def _sun_elevation_deg(cell: str, where: str) -> float:
    if cell in ("", "NA"):
        return nan
    try:
        elevation = float(cell)
    except ValueError:
        elevation = nan
    if not -90 <= elevation <= 90:
        raise ValueError(f"{where}: s2_view_sun_elevation {cell!r} is not an angle in degrees")
    return elevation
