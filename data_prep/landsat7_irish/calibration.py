"""Digital numbers of ETM+ as reflectance and kelvin, by MTLs of every age or without one.

Names of bands are those of `permjax.sensors`; "B6" is the thermal band at low gain (B61, or
VCID 1), which holds the coldest clouds and the hottest ground.
"""

from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

from permjax.mtl import Mtl, toa_values
from permjax.radiometry import (
    brightness_temperature,
    earth_sun_distance_au,
    linear,
    range_factors,
    reflectance_factors,
    toa_reflectance,
)
from permjax.rasters import PhysicalValues

BANDS: Final = ("B1", "B2", "B3", "B4", "B5", "B6", "B7")
THERMAL: Final = "B6"

# Chander et al. 2009 (doi:10.1016/j.rse.2009.01.007), tables 4 and 7: sunlight in W m-2 um-1, and
# the radiance that digital numbers 1 and 255 stand for, W m-2 sr-1 um-1, at the gains that are
# usual over land.
IRRADIANCE: Final = {"B1": 1970, "B2": 1842, "B3": 1547, "B4": 1044, "B5": 225.7, "B7": 82.06}
K1, K2 = 666.09, 1282.71
USUAL_RANGE: Final = {
    "B1": (-6.2, 191.6),
    "B2": (-6.4, 196.5),
    "B3": (-5.0, 152.9),
    "B4": (-5.1, 241.1),  # Low gain; all others but B6 at high gain.
    "B5": (-1.0, 31.06),
    "B6": (0.0, 17.04),
    "B7": (-0.35, 10.8),
}
_DN_RANGE: Final = (1, 255)


def physical_values(band: str, mtl: Mtl | None, acquired: date) -> PhysicalValues:
    """What digital numbers of a band mean.

    By the first that the MTL has: factors of reflectance (since Collection 1), factors of radiance
    (since 2012), ranges of radiance (before). Without one, radiance is that of `USUAL_RANGE` and
    reflectance is not divided by the sine of the sun's elevation, which is unknown.

    Args:
        band: one of `BANDS`.
        mtl: of the scene, if there is one.
        acquired: the day.

    Raises:
        ValueError: a factor is missing or makes no sense; the message names the MTL.
    """
    number = "6_VCID_1" if band == THERMAL else band.removeprefix("B")
    if mtl is not None and {f"REFLECTANCE_MULT_BAND_{number}", _k1(number)} & mtl.keys():
        return toa_values(mtl, f"B{number}")
    try:
        mult, add = _radiance_factors(band, number, mtl)
    except ValueError as error:
        if mtl is None or str(mtl.path) in str(error):
            raise
        raise ValueError(f"{mtl.path}: band {band}: {error}") from None
    if band == THERMAL:
        return partial(brightness_temperature, mult=mult, add=add, k1=K1, k2=K2)
    mult, add = reflectance_factors(mult, add, IRRADIANCE[band], _distance_au(mtl, acquired))
    if mtl is None:
        return partial(linear, mult=mult, add=add)
    elevation = mtl.sun_elevation_deg()
    return partial(toa_reflectance, mult=mult, add=add, sun_elevation_deg=elevation)


def read_mtl(path: Path, path_and_row: tuple[int, int], acquired: date) -> Mtl:
    """The MTL of a scene.

    Raises:
        ValueError: it is damaged, or of another satellite, day, path or row; the message names it.
    """
    mtl = Mtl(path)
    if mtl["SPACECRAFT_ID"] not in ("Landsat7", "LANDSAT_7"):
        raise ValueError(f"{mtl.path}: is of {mtl['SPACECRAFT_ID']}, not of Landsat 7")
    # The names of before 2012 and those since.
    day = mtl["ACQUISITION_DATE" if "ACQUISITION_DATE" in mtl else "DATE_ACQUIRED"]
    if day != acquired.isoformat():
        raise ValueError(f"{mtl.path}: is of {day}, but the files of the scene are of {acquired}")
    rows = ("WRS_ROW", "STARTING_ROW", "ENDING_ROW")  # A scene between rows has two.
    for names, expected in zip((("WRS_PATH",), rows), path_and_row, strict=True):
        said = {name: mtl.number(name) for name in names if name in mtl}
        if said and expected not in said.values():
            name = next(iter(said))
            raise ValueError(f"{mtl.path}: {name} = {mtl[name]}, but the scene has {expected}")
    return mtl


def _k1(number: str) -> str:
    return f"K1_CONSTANT_BAND_{number}"


def _radiance_factors(band: str, number: str, mtl: Mtl | None) -> tuple[float, float]:
    if mtl is None:
        return range_factors(*USUAL_RANGE[band], *_DN_RANGE)
    if f"RADIANCE_MULT_BAND_{number}" in mtl:
        parts = (f"RADIANCE_{part}_BAND_{number}" for part in ("MULT", "ADD"))
        mult, add = map(mtl.number, parts)
        return mult, add
    name = "BAND61" if band == THERMAL else f"BAND{number}"
    parts = (f"{part}_{name}" for part in ("LMIN", "LMAX", "QCALMIN", "QCALMAX"))
    return range_factors(*map(mtl.number, parts))


def _distance_au(mtl: Mtl | None, acquired: date) -> float:
    if mtl is not None and "EARTH_SUN_DISTANCE" in mtl:
        return mtl.number("EARTH_SUN_DISTANCE")
    return earth_sun_distance_au(acquired.timetuple().tm_yday)
