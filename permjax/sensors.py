"""The bands of the optical sensors: the only place for band facts.

The table is `sensors.toml` beside this file; a user's own sensor is a TOML file of the same form.
Whatever describes bands, from there or elsewhere, passes the checks of `describe_bands`.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Kind(IntEnum):
    """What a band measures; the value is the code in records."""

    REFLECTANCE = 0  # top of atmosphere, unitless
    SURFACE_REFLECTANCE = 1  # unitless
    BRIGHTNESS_TEMPERATURE = 2  # kelvin

    @property
    def word(self) -> str:
        """The kind as users write it: `brightness_temperature`."""
        return self.name.lower()


class BandDescription(NamedTuple):
    """Descriptions of N bands in the order of an image's last axis; a JAX pytree.

    Axes: `wavelength_nm` float32 [N], `bandwidth_nm` float32 [N], `kind` int32 [N] (`Kind`);
    a batch of them has a leading axis B on each.
    """

    wavelength_nm: np.ndarray
    bandwidth_nm: np.ndarray
    kind: np.ndarray


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
                    f"{self.name} has no band {name!r}{_closest(name, by_name)}; "
                    f"its bands are {_series(by_name)}"
                )
        bands = [by_name[name] for name in names]
        on_ground = {Kind.REFLECTANCE: Kind.SURFACE_REFLECTANCE} if surface else {}
        return describe_bands(
            [band.wavelength_nm for band in bands],
            [band.bandwidth_nm for band in bands],
            [on_ground.get(band.kind, band.kind) for band in bands],
        )


# --- The one validator ----------------------------------------------------------------------

# Outside, no imager looks down: ozone absorbs below 300 nm, carbon dioxide above 15 um.
SHORTEST_NM: Final = 300.0
LONGEST_NM: Final = 15_000.0
# Widths from 1/1000 of the centre (finer than imaging spectrometers) to the centre itself
# (Meteosat's HRV, 400 to 1100 nm, is widest). An upper edge given for a width is always above,
# and a width in micrometres beside a centre in nanometres always below.
NARROWEST: Final = 1e-3
WIDEST: Final = 1.0
# By day, sunlight and the Earth's own radiance are alike from 3 to 5 um; before, the Earth's is
# negligible, and after, the Sun's.
SHORTEST_THERMAL_NM: Final = 3_000.0
LONGEST_REFLECTED_NM: Final = 5_000.0


def describe_bands(
    wavelength_nm: ArrayLike,
    bandwidth_nm: ArrayLike,
    kind: str | int | Sequence[str | int] | np.ndarray = Kind.REFLECTANCE,
    band_count: int | None = None,
) -> BandDescription:
    """Describes N bands, after every check that numbers alone allow.

    Descriptions that pass come out as they went in, in the same order. Two bands of like
    kind in each other's place cannot be told from the numbers: order is the caller's.

    Args:
        wavelength_nm: band centres [N] in nanometres.
        bandwidth_nm: full widths at half maximum [N] in nanometres.
        kind: one for all bands or one a band [N]: "reflectance", "surface_reflectance",
            "brightness_temperature", or a `Kind`.
        band_count: how many bands the image has, where it is known.

    Raises:
        ValueError: the first fault found, with its band (counted from 1) and what to do.
    """
    wavelength_nm = _numbers("wavelength_nm", wavelength_nm)
    bandwidth_nm = _numbers("bandwidth_nm", bandwidth_nm)
    N = len(wavelength_nm) if band_count is None else band_count
    for name, values in (("wavelength_nm", wavelength_nm), ("bandwidth_nm", bandwidth_nm)):
        if len(values) != N:
            raise ValueError(
                f"{name} has {len(values)} values for {N} bands: give one for each band, "
                "in the order of the image's bands"
            )
    if N == 0:
        raise ValueError("no band is described: give at least one wavelength and bandwidth")
    kinds = _kinds(kind, N)
    _check([f"band {i + 1} of {N}" for i in range(N)], wavelength_nm, bandwidth_nm, kinds)
    return BandDescription(wavelength_nm, bandwidth_nm, np.array(kinds, np.int32))


def _numbers(name: str, values: ArrayLike) -> np.ndarray:
    try:
        array = np.array(values, np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{name} holds something that is not a number: {values!r}") from None
    if array.ndim != 1:
        raise ValueError(f"{name} must be a list of one number a band, got {values!r}")
    return array


def _kinds(kind: Any, N: int) -> list[Kind]:
    kinds = [kind] * N if np.ndim(kind) == 0 else list(kind)
    if len(kinds) != N:
        raise ValueError(f"{len(kinds)} kinds for {N} bands: give one for all or one for each")
    return [_kind(value) for value in kinds]


def _kind(value: Any) -> Kind:
    for kind in Kind:
        if value in (kind, kind.word):
            return kind
    words = [kind.word for kind in Kind]
    raise ValueError(
        f"unknown kind {value!r}{_closest(str(value), words)}; known are {_series(words)}"
    )


def _check(
    names: Sequence[str], wavelength_nm: ArrayLike, bandwidth_nm: ArrayLike, kinds: Sequence[Kind]
) -> None:
    """Raises ValueError for the first band, by its name, that no imager could have."""
    seen: dict[tuple[float, float, Kind], str] = {}
    rows = zip(
        names,
        np.asarray(wavelength_nm, np.float32).tolist(),
        np.asarray(bandwidth_nm, np.float32).tolist(),
        kinds,
        strict=True,
    )
    for name, wavelength, bandwidth, kind in rows:
        fault = _fault(wavelength, bandwidth, kind)
        if fault:
            raise ValueError(f"{name}: {fault}")
        twin = seen.setdefault((wavelength, bandwidth, kind), name)
        if twin != name:
            raise ValueError(
                f"{name} repeats {twin}: {wavelength:g} nm, {bandwidth:g} nm wide, {kind.word}; "
                "a band is described once, so leave one out"
            )


def _fault(w: float, b: float, kind: Kind) -> str | None:
    """What is wrong with a band of centre `w` and width `b` nm, the likeliest cause first."""
    thermal = kind is Kind.BRIGHTNESS_TEMPERATURE
    rules = (
        (0 < w < np.inf, f"wavelength_nm {w:g} is not a positive finite number"),
        (0 < b < np.inf, f"bandwidth_nm {b:g} is not a positive finite number"),
        (
            not SHORTEST_NM <= w * 1000 <= LONGEST_NM,
            f"wavelength_nm {w:g} looks like micrometres: multiply by 1000 ({w * 1000:g} nm)",
        ),
        (
            not w < SHORTEST_NM <= b,
            f"wavelength_nm {w:g} and bandwidth_nm {b:g} look swapped: exchange them",
        ),
        (
            SHORTEST_NM <= w <= LONGEST_NM,
            f"wavelength_nm {w:g} is outside the optical range, {SHORTEST_NM:g} to "
            f"{LONGEST_NM:g} nm: give the band's centre in nanometres",
        ),
        (
            b <= WIDEST * w,
            f"bandwidth_nm {b:g} is more than the centre, {w:g} nm: give the full width at half "
            "maximum (upper edge minus lower edge), not an edge",
        ),
        (
            b >= NARROWEST * w,
            f"bandwidth_nm {b:g} is under 1/1000 of the centre, {w:g} nm: if it is in "
            "micrometres, multiply by 1000",
        ),
        (
            not thermal or w >= SHORTEST_THERMAL_NM,
            f"kind {kind.word} at {w:g} nm: below {SHORTEST_THERMAL_NM:g} nm a band measures "
            f"{Kind.REFLECTANCE.word}",
        ),
        (
            thermal or w <= LONGEST_REFLECTED_NM,
            f"kind {kind.word} at {w:g} nm: above {LONGEST_REFLECTED_NM:g} nm a band measures "
            f"{Kind.BRIGHTNESS_TEMPERATURE.word}",
        ),
    )
    return next((fault for holds, fault in rules if not holds), None)


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
    _check(
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
        fields["kind"] = _kind(fields["kind"])
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
                f"{where}: unknown key {key!r}{_closest(key, types)}; known are {_series(types)}"
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

    A family stands for its sensors in the table's order; hyphens count as underscores.

    Raises:
        ValueError: no name, or one that is neither a sensor nor a family.
    """
    if not names:
        raise ValueError(
            f"no sensor is named: give some of {_series(FAMILIES)}, {_series(SENSORS)}"
        )
    chosen: dict[str, Sensor] = {}
    for name in names:
        key = name.lower().replace("-", "_")
        if key not in SENSORS and key not in FAMILIES:
            raise ValueError(
                f"unknown sensor {name!r}{_closest(key, [*FAMILIES, *SENSORS])}; "
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


def _closest(word: str, known: Iterable[str]) -> str:
    matches = get_close_matches(word, known, n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def _series(words: Iterable[str]) -> str:
    return ", ".join(words)


SENSORS: Final[Mapping[str, Sensor]] = MappingProxyType(
    {sensor.name: sensor for sensor in _read_sensors(Path(__file__).with_name("sensors.toml"))}
)
"""Every sensor of the table, by name."""

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(_families(SENSORS.values()))
"""The names of each family's sensors: `landsat`, `sentinel`, ..."""
