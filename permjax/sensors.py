"""The bands of the optical sensors: the only place for band facts.

The table is `sensors.toml` beside this file; a user's own sensor is a TOML file of the same form.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from permjax.bands import (
    LONGEST_NM,
    SHORTEST_NM,
    BandDescription,
    Kind,
    as_kind,
    check_bands,
    describe_bands,
    did_you_mean,
)


@dataclass(frozen=True)
class Band:
    """One spectral band: centre and full width at half maximum in nm, sampling distance in m."""

    name: str
    wavelength_nm: float
    bandwidth_nm: float
    kind: Kind
    gsd_m: float


@dataclass(frozen=True)
class Sensor:
    """An instrument: its key in `SENSORS`, its families, its bands and where the figures are from.

    `gsd_m` is the grid on which its scenes are masked by default.
    """

    name: str
    title: str
    families: tuple[str, ...]
    gsd_m: float
    source: str
    bands: tuple[Band, ...]

    def describe(
        self, band_names: Sequence[str] | None = None, *, surface: bool = False
    ) -> BandDescription:
        """Describes the named bands, in that order, or all bands in the table's order.

        Args:
            band_names: names of bands of this sensor; None means all.
            surface: the image holds surface reflectance (a level-2 product); thermal bands
                keep their kind.

        Raises:
            ValueError: a name is not a band of this sensor, or stands twice.
        """
        by_name = {band.name: band for band in self.bands}
        names = tuple(by_name) if band_names is None else tuple(band_names)
        for name in names:
            if name not in by_name:
                raise ValueError(
                    f"{self.name} has no band {name!r}{did_you_mean(name, by_name)}; "
                    f"its bands are {_series(by_name)}"
                )
        bands = [by_name[name] for name in names]
        on_ground = {Kind.REFLECTANCE: Kind.SURFACE_REFLECTANCE} if surface else {}
        return describe_bands(
            [band.wavelength_nm for band in bands],
            [band.bandwidth_nm for band in bands],
            [on_ground.get(band.kind, band.kind) for band in bands],
        )


# --- TOML -----------------------------------------------------------------------------------

_SENSOR_KEYS: Final = {
    "name": str,
    "title": str,
    "families": list,
    "gsd_m": float,
    "source": str,
    "bands": list,
}
_BAND_KEYS: Final = {
    "name": str,
    "wavelength_nm": float,
    "bandwidth_nm": float,
    "kind": str,
    "gsd_m": float,
}
_TYPE_WORDS: Final = {str: "text in quotes", float: "a number", list: "a list in brackets"}

# A band with one of these names lies here in every sensor of the table; so rows in the wrong
# order are found where names allow it.
_COLOURS_NM: Final = {
    "blue": (430, 530),
    "green": (500, 610),
    "red": (590, 700),
    "nir": (700, 1100),
}


def read_sensor(path: str | Path) -> Sensor:
    """Reads a user's sensor: a TOML file with one `[[sensor]]` of the form of `sensors.toml`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the first fault found, with file, band and what to do.
    """
    sensors = _read_sensors(Path(path))
    if len(sensors) != 1:
        raise ValueError(f"{path}: has {len(sensors)} sensors: give each a file of its own")
    return sensors[0]


def _read_sensors(path: Path) -> tuple[Sensor, ...]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a sensor is described by a TOML file")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from None
    rows = table.pop("sensor", None)
    if not isinstance(rows, list) or table:
        raise ValueError(f"{path}: put the line [[sensor]] before the sensor's keys, all of them")
    return tuple(_sensor(row, f"{path}") for row in rows)


def _sensor(row: Any, where: str) -> Sensor:
    fields = _row(row, _SENSOR_KEYS, {"families": []}, f"{where}: [[sensor]]")
    where = f"{where}: {fields['name']}"
    for name in (fields["name"], *fields["families"]):
        if not (isinstance(name, str) and re.fullmatch("[a-z0-9_]+", name)):
            raise ValueError(
                f"{where}: {name!r} names no sensor or family: "
                "use lowercase letters, digits and underscores"
            )
    bands = [_band(band, fields["gsd_m"], where) for band in fields["bands"]]
    if not bands:
        raise ValueError(f"{where}: has no bands")
    names = [band.name for band in bands]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{where}: two bands are called {name}: give each its own name")
    check_bands(
        [f"{where}: band {name}" for name in names],
        [band.wavelength_nm for band in bands],
        [band.bandwidth_nm for band in bands],
        [band.kind for band in bands],
    )
    return Sensor(**fields | {"families": tuple(fields["families"]), "bands": tuple(bands)})


def _band(row: Any, gsd_m: float, where: str) -> Band:
    name = row.get("name", "") if isinstance(row, dict) else ""
    where = f"{where}: band {name}".rstrip()
    fields = _row(row, _BAND_KEYS, {"kind": Kind.REFLECTANCE.word, "gsd_m": gsd_m}, where)
    try:
        fields["kind"] = as_kind(fields["kind"])
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    band = Band(**fields)
    lower, upper = _COLOURS_NM.get(band.name.lower(), (0, LONGEST_NM))
    # A centre below the optical range is left to the check of units, which says more.
    if band.wavelength_nm >= SHORTEST_NM and not lower <= band.wavelength_nm <= upper:
        raise ValueError(
            f"{where}: {band.wavelength_nm:g} nm is not {band.name.lower()} "
            f"({lower} to {upper} nm): are the rows in the wrong order?"
        )
    return band


def _row(
    row: Any, types: Mapping[str, type], defaults: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """A TOML table with its defaults: every key known, none missing, values of the right type."""
    if not isinstance(row, dict):
        raise ValueError(f"{where}: {row!r} is not a table of {_series(types)}")
    for key in row:
        if key not in types:
            raise ValueError(
                f"{where}: unknown key {key!r}{did_you_mean(key, types)}; "
                f"known are {_series(types)}"
            )
    row = {**defaults, **row}
    for key, of_type in types.items():
        if key not in row:
            raise ValueError(f"{where}: {key} is missing")
        is_number = isinstance(row[key], int | float) and not isinstance(row[key], bool)
        if not (is_number if of_type is float else isinstance(row[key], of_type)):
            raise ValueError(f"{where}: {key} must be {_TYPE_WORDS[of_type]}, not {row[key]!r}")
        if key == "gsd_m" and not 0 < row[key] < np.inf:
            raise ValueError(f"{where}: gsd_m must be a positive length in metres, not {row[key]}")
    return row


# --- The table ------------------------------------------------------------------------------


def select_sensors(names: Sequence[str]) -> tuple[Sensor, ...]:
    """The sensors that names and families name, each once, in the order first named.

    A family stands for its sensors in the table's order; hyphens count as underscores. A path that
    ends in `.toml` names the sensor that a user describes there.

    Raises:
        FileNotFoundError: there is no such TOML file.
        ValueError: no name, one that is neither a sensor nor a family, or a fault in a TOML file.
    """
    if not names:
        raise ValueError(
            f"no sensor is named: give some of {_series(FAMILIES)}, {_series(SENSORS)}"
        )
    chosen: dict[str, Sensor] = {}
    for name in names:
        if name.endswith(".toml"):
            sensor = read_sensor(name)
            chosen[sensor.name] = sensor
            continue
        key = name.lower().replace("-", "_")
        if key not in SENSORS and key not in FAMILIES:
            raise ValueError(
                f"unknown sensor {name!r}{did_you_mean(key, [*FAMILIES, *SENSORS])}; "
                f"families are {_series(FAMILIES)}; sensors are {_series(SENSORS)}"
            )
        for member in FAMILIES.get(key, (key,)):
            chosen[member] = SENSORS[member]
    return tuple(chosen.values())


def _families(sensors: Iterable[Sensor]) -> dict[str, tuple[str, ...]]:
    families: dict[str, tuple[str, ...]] = {}
    for sensor in sensors:
        for family in sensor.families:
            families[family] = (*families.get(family, ()), sensor.name)
    return families


def _series(words: Iterable[str]) -> str:
    return ", ".join(words)


SENSORS: Final[Mapping[str, Sensor]] = MappingProxyType(
    {sensor.name: sensor for sensor in _read_sensors(Path(__file__).with_name("sensors.toml"))}
)
"""Every sensor of the table, by name."""

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(_families(SENSORS.values()))
"""The names of each family's sensors: `landsat`, `sentinel`, ..."""
