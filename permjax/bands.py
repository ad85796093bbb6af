"""What a band measures, and descriptions of bands, checked where they enter."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

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
    check_bands([f"band {i + 1} of {N}" for i in range(N)], wavelength_nm, bandwidth_nm, kinds)
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
    return [as_kind(value) for value in kinds]


def as_kind(value: Any) -> Kind:
    """The kind that a user's word or a record's code stands for.

    Raises:
        ValueError: it stands for none.
    """
    for kind in Kind:
        if value in (kind, kind.word):
            return kind
    words = [kind.word for kind in Kind]
    raise ValueError(
        f"unknown kind {value!r}{did_you_mean(str(value), words)}; known are {', '.join(words)}"
    )


def check_bands(
    names: Sequence[str], wavelength_nm: ArrayLike, bandwidth_nm: ArrayLike, kinds: Sequence[Kind]
) -> None:
    """Refuses bands that no imager could have, and a band described twice.

    Args:
        names: what the error calls each of the N bands.
        wavelength_nm: band centres [N] in nanometres.
        bandwidth_nm: full widths at half maximum [N] in nanometres.
        kinds: of each band [N].

    Raises:
        ValueError: the first fault found, with its band's name and what to do.
    """
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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The part of an error that offers the known word closest to a wrong one; empty if far off."""
    matches = get_close_matches(word, known, n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
