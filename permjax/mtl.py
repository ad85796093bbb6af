"""The MTL file of a Landsat product, as txt, xml or json: its entries, and the factors of a band.

Names of entries are those of the USGS data format control books (LSDS-1822, LSDS-1328); they are
the same before the collections and in Collections 1 and 2, while names of groups differ.
"""

import json
from collections.abc import Iterator
from functools import partial
from math import isfinite, nan
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from permjax.radiometry import brightness_temperature, toa_reflectance
from permjax.rasters import PhysicalValues


class Mtl(dict[str, str]):
    """The entries of an MTL file, read flat: of two with one name, the first.

    Group names differ between collections, entry names do not. A level 2 file repeats the factors
    of the level 1 product that it was made from, under the same names, after its own.

    Args:
        path: of the file; its ending tells the form, .txt, .xml or .json.
        content: of the file, if it is not on disk.

    Raises:
        ValueError: the file is damaged or cut short; or, on reading an entry, it is not there.
            The message names file and entry.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        self.path = path
        content = path.read_bytes() if content is None else content
        for name, value in _entries(path, content):
            self.setdefault(name, value)

    def __missing__(self, name: str) -> str:
        raise ValueError(f"{self.path}: has no {name}; the file is cut short or not a Landsat MTL")

    def number(self, name: str) -> float:
        """The entry as a number.

        Raises:
            ValueError: it is not there or is none.
        """
        value = self[name]
        try:
            number = float(value)
        except ValueError:
            number = nan
        if not isfinite(number):
            raise ValueError(f"{self.path}: {name} = {value} is not a number")
        return number

    def sun_elevation_deg(self) -> float:
        """The sun's elevation at the scene's centre, degrees.

        Raises:
            ValueError: it is not there, or not above the horizon.
        """
        elevation = self.number("SUN_ELEVATION")
        if not 0 < elevation <= 90:
            raise ValueError(
                f"{self.path}: SUN_ELEVATION = {elevation:g}, but reflectance needs the sun above "
                "the horizon, between 0 and 90 degrees"
            )
        return elevation


def _entries(path: Path, content: bytes) -> Iterator[tuple[str, str]]:
    """Names and values in the order of the file, whatever the groups around them."""
    try:
        if path.suffix.lower() == ".xml":
            yield from (
                (item.tag, item.text or "") for item in ElementTree.fromstring(content).iter()
            )
        elif path.suffix.lower() == ".json":
            yield from _leaves(json.loads(content))
        else:
            yield from _lines(content.decode("utf-8", "replace"))
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        raise ValueError(f"{path}: is damaged or cut short: {error}") from None


def _lines(text: str) -> Iterator[tuple[str, str]]:
    # Some files of before the collections are filled up with NULs or blanks.
    lines = text.rstrip(" \t\r\n\0\x1a").splitlines()
    if not lines or lines[-1].strip().upper() != "END":
        raise ValueError("its last line is not END; fetch it again")
    for line in lines:
        name, separator, value = line.partition("=")
        if separator:
            yield name.strip(), value.strip().strip('"')


def _leaves(tree: Any) -> Iterator[tuple[str, str]]:
    for name, value in tree.items() if isinstance(tree, dict) else ():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield name, str(value)


def toa_values(mtl: Mtl, band: str) -> PhysicalValues:
    """Reflectance or kelvin of a band of a level 1 product by the factors in its MTL.

    Args:
        mtl: of the product.
        band: such as "B4"; a band whose thermal constants the MTL has is a thermal one.

    Raises:
        ValueError: a factor is missing or no number.
    """
    number = band.removeprefix("B")
    if f"K1_CONSTANT_BAND_{number}" in mtl:
        return partial(
            brightness_temperature,
            mult=mtl.number(f"RADIANCE_MULT_BAND_{number}"),
            add=mtl.number(f"RADIANCE_ADD_BAND_{number}"),
            k1=mtl.number(f"K1_CONSTANT_BAND_{number}"),
            k2=mtl.number(f"K2_CONSTANT_BAND_{number}"),
        )
    return partial(
        toa_reflectance,
        mult=mtl.number(f"REFLECTANCE_MULT_BAND_{number}"),
        add=mtl.number(f"REFLECTANCE_ADD_BAND_{number}"),
        sun_elevation_deg=mtl.sun_elevation_deg(),
    )
