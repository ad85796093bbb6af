"""Writes tiny Landsat products of every collection and sensor, with their MTL in each form."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from affine import Affine
from fake_scenes import write_geotiff
from rasterio.crs import CRS

Groups = dict[str, dict[str, str]]

K1, K2 = 666.09, 1282.71
RADIANCE_MULT, RADIANCE_ADD = 0.067, -0.067
SHAPE = (12, 10)


@dataclass(frozen=True)
class Landsat:
    """What a fake level 1 product is made of; bands as files are called, `6_VCID_1` among them."""

    satellite: int = 7
    instrument: str = "ETM"
    collection: int = 1
    bands: Sequence[str] = ("1", "2", "3", "4", "5", "6_VCID_1", "6_VCID_2", "7", "8")
    thermal: Sequence[str] = ("6_VCID_1", "6_VCID_2")
    sun_elevation_deg: float = 30.0
    gsd_m: int = 30
    projection: Mapping[str, str] = field(
        default_factory=lambda: {"MAP_PROJECTION": "UTM", "UTM_ZONE": "16"}
    )
    georeferenced: bool = True

    @property
    def product(self) -> str:
        """Its id."""
        letter = {"ETM": "E", "TM": "T", "MSS": "M", "OLI_TIRS": "C", "OLI": "O"}[self.instrument]
        return f"L{letter}0{self.satellite}_L1TP_017051_20021205_20200908_0{self.collection}_T1"

    def groups(self) -> Groups:
        """The entries of the MTL; Collection 1 has other groups and no PROCESSING_LEVEL."""
        level = "DATA_TYPE" if self.collection == 1 else "PROCESSING_LEVEL"
        files = {f"FILE_NAME_BAND_{b}": f"{self.product}_B{b}.TIF" for b in self.bands}
        factors, constants = {}, {}
        for band in self.bands:
            factors[f"RADIANCE_MULT_BAND_{band}"] = str(RADIANCE_MULT)
            factors[f"RADIANCE_ADD_BAND_{band}"] = str(RADIANCE_ADD)
            if band in self.thermal:
                constants[f"K1_CONSTANT_BAND_{band}"] = str(K1)
                constants[f"K2_CONSTANT_BAND_{band}"] = str(K2)
            else:
                factors[f"REFLECTANCE_MULT_BAND_{band}"] = "2.0E-03"
                factors[f"REFLECTANCE_ADD_BAND_{band}"] = "-0.01"
        return {
            "PRODUCT_METADATA": {
                "LANDSAT_PRODUCT_ID": self.product,
                level: "L1TP",
                "SPACECRAFT_ID": f"LANDSAT_{self.satellite}",
                "SENSOR_ID": self.instrument,
                **files,
            },
            "IMAGE_ATTRIBUTES": {"SUN_ELEVATION": str(self.sun_elevation_deg)},
            "RADIOMETRIC_RESCALING": factors,
            "TIRS_THERMAL_CONSTANTS": constants,
            "PROJECTION_PARAMETERS": {
                **self.projection,
                "GRID_CELL_SIZE_REFLECTIVE": f"{self.gsd_m}.00",
                "REFLECTIVE_LINES": str(SHAPE[0]),
                "REFLECTIVE_SAMPLES": str(SHAPE[1]),
                "CORNER_UL_PROJECTION_X_PRODUCT": "500100.000",
                "CORNER_UL_PROJECTION_Y_PRODUCT": "1400100.000",
            },
        }


def write_landsat(parent: Path, landsat: Landsat, form: str = "txt", seed: int = 0) -> Path:
    """The product's folder, its bands with random numbers from 20 on."""
    folder = parent / landsat.product
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    gsd_m = landsat.gsd_m
    grid = (
        Affine(gsd_m, 0, 500_100 - gsd_m / 2, 0, -gsd_m, 1_400_100 + gsd_m / 2),
        CRS.from_epsg(32616),
    )
    for band in landsat.bands:
        shape = tuple(2 * n for n in SHAPE) if band == "8" else SHAPE
        dn = rng.integers(20, 250, (1, *shape), dtype=np.uint8)
        path = folder / f"{landsat.product}_B{band}.TIF"
        write_geotiff(path, dn, grid if landsat.georeferenced else None)
    write_mtl(folder / f"{landsat.product}_MTL.{form}", landsat.groups())
    return folder


def write_mtl(path: Path, groups: Groups) -> None:
    """An MTL in the form that the path ends with."""
    if path.suffix == ".json":
        text = json.dumps({"LANDSAT_METADATA_FILE": groups}, indent=2)
    elif path.suffix == ".xml":
        inside = "".join(
            f"<{group}>"
            + "".join(f"<{name}>{escape(value)}</{name}>" for name, value in entries.items())
            + f"</{group}>"
            for group, entries in groups.items()
        )
        text = f"<?xml version='1.0'?><LANDSAT_METADATA_FILE>{inside}</LANDSAT_METADATA_FILE>"
    else:
        lines = []
        for group, entries in groups.items():
            lines.append(f"  GROUP = {group}")
            lines += [f'    {name} = "{value}"' for name, value in entries.items()]
            lines.append(f"  END_GROUP = {group}")
        text = "\n".join(
            ["GROUP = L1_METADATA_FILE", *lines, "END_GROUP = L1_METADATA_FILE", "END"]
        )
    path.write_text(text)
