"""Writes tiny Sentinel-2 products in the real layouts: names, metadata, JPEG 2000 bands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
RESOLUTION_M: dict[str, int] = dict(
    zip(BANDS, (60, 10, 10, 10, 20, 20, 20, 10, 20, 60, 60, 20, 20), strict=True)
)
LEFT, TOP = 499_980, 3_100_020
ZENITH_DEG = 26.5
TILE = "T46RER"
SENSED = "20220908T042701"
PROCESSED = "EPA__20160605T113933_A000734"

_PRODUCT = """\
<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/P.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_URI>{name}</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>
      <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
      <Datatake datatakeIdentifier="GS2B_20220908T042701_032448_N04.00">
        <SPACECRAFT_NAME>{satellite}</SPACECRAFT_NAME>
      </Datatake>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
      </Special_Values>
      {quantification}
      {offsets}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-{level}_User_Product>
"""

_TILE = """\
<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/T.xsd">
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_CODE>EPSG:32646</HORIZONTAL_CS_CODE>
      <Geoposition resolution="10">
        <ULX>{left}</ULX>
        <ULY>{top}</ULY>
        <XDIM>10</XDIM>
        <YDIM>-10</YDIM>
      </Geoposition>
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">{zenith_deg}</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">142.9</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
      <Mean_Viewing_Incidence_Angle_List>
        <Mean_Viewing_Incidence_Angle bandId="0"><ZENITH_ANGLE unit="deg">4.2</ZENITH_ANGLE>
        </Mean_Viewing_Incidence_Angle>
      </Mean_Viewing_Incidence_Angle_List>
    </Tile_Angles>
  </n1:Geometric_Info>
</n1:Level-{level}_Tile_ID>
"""


@dataclass(frozen=True)
class Safe:
    """What a fake product is made of; `dn` and `offsets` are by band."""

    level: str = "1C"
    baseline: str = "04.00"
    satellite: str = "Sentinel-2B"
    bands: Sequence[str] = BANDS
    side_m: int = 480
    offsets: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(13), -1000))
    quantification: float = 10_000
    georeferenced: bool = True
    long_names: bool = False
    """As until 2016."""

    @property
    def name(self) -> str:
        """Of the folder."""
        number = self.baseline.replace(".", "")
        if self.long_names:
            return f"S2A_OPER_PRD_MSIL{self.level}_PDMC_20160605T113933_R022_V{SENSED}.SAFE"
        return f"S2B_MSIL{self.level}_{SENSED}_N{number}_R133_{TILE}_{SENSED}.SAFE"

    @property
    def tile(self) -> str:
        """The path of the tile in the product."""
        if self.long_names:
            return f"GRANULE/S2A_OPER_MSI_L{self.level}_TL_{PROCESSED}_{TILE}_N02.04"
        return f"GRANULE/L{self.level}_{TILE}_A032448_20220908T043714"

    @property
    def product_xml(self) -> str:
        """The name of the product's metadata."""
        if self.long_names:
            return f"S2A_OPER_MTD_SAFL{self.level}_PDMC_20160605T113933_R022_V{SENSED}.xml"
        return f"MTD_MSIL{self.level}.xml"

    def image(self, band: str, gsd_m: int) -> str:
        """The path of a band's image in the product."""
        if self.long_names:
            stem = f"S2A_OPER_MSI_L{self.level}_TL_{PROCESSED}_{TILE}_{band}"
            return f"{self.tile}/IMG_DATA/{stem}.jp2"
        if self.level == "1C":
            return f"{self.tile}/IMG_DATA/{TILE}_{SENSED}_{band}.jp2"
        return f"{self.tile}/IMG_DATA/R{gsd_m}m/{TILE}_{SENSED}_{band}_{gsd_m}m.jp2"

    def images(self) -> list[tuple[str, int]]:
        """Band and pixel size of each image: at level 2A most bands have several."""
        if self.level == "1C":
            return [(band, RESOLUTION_M[band]) for band in self.bands]
        sizes = {10: ("B02", "B03", "B04", "B08"), 60: tuple(b for b in BANDS if b != "B08")}
        sizes[20] = tuple(b for b in BANDS if b not in ("B08", "B09"))
        return [
            (band, gsd_m)
            for gsd_m in sizes
            for band in sizes[gsd_m]
            if band in self.bands and band != "B10"
        ]


def random_numbers(seed: int) -> Callable[[str, int], np.ndarray]:
    """Of any band and side: numbers from 1000 on."""
    rng = np.random.default_rng(seed)
    return lambda _band, side: rng.integers(1000, 9000, (side, side))


def write_safe(
    parent: Path,
    safe: Safe | None = None,
    seed: int = 0,
    pixels: Callable[[str, int], np.ndarray] | None = None,
) -> Path:
    """A product made of `Safe`, with the numbers of `pixels(band, side)`; returns its folder."""
    safe = safe or Safe()
    folder = parent / safe.name
    pixels = pixels or random_numbers(seed)
    for band, gsd_m in safe.images():
        write_jp2(
            folder / safe.image(band, gsd_m),
            pixels(band, safe.side_m // gsd_m),
            gsd_m if safe.georeferenced else None,
        )
    # What lies beside the images in a real product, and is none of its bands.
    for name in (f"{TILE}_{SENSED}_TCI", f"{TILE}_{SENSED}_PVI"):
        (folder / safe.tile / "IMG_DATA").mkdir(parents=True, exist_ok=True)
        (folder / safe.tile / "IMG_DATA" / f"{name}.jp2").write_text("not a band")
    (folder / safe.tile / "QI_DATA").mkdir()
    (folder / safe.tile / "QI_DATA" / "MSK_DETFOO_B02.jp2").write_text("not a band")
    (folder / safe.product_xml).write_text(product_xml(safe))
    tile_xml = (
        "MTD_TL" if not safe.long_names else (f"S2A_OPER_MTD_L{safe.level}_TL_{PROCESSED}_{TILE}")
    )
    (folder / safe.tile / f"{tile_xml}.xml").write_text(
        _TILE.format(level=safe.level, left=LEFT, top=TOP, zenith_deg=ZENITH_DEG)
    )
    return folder


def product_xml(safe: Safe) -> str:
    """The product's metadata."""
    quantification = (
        f'<QUANTIFICATION_VALUE unit="none">{safe.quantification}</QUANTIFICATION_VALUE>'
    )
    name = "RADIO_ADD_OFFSET"
    if safe.level == "2A":
        name = "BOA_ADD_OFFSET"
        quantification = quantification.replace("QUANT", "BOA_QUANT") + (
            "<AOT_QUANTIFICATION_VALUE>1000.0</AOT_QUANTIFICATION_VALUE>"
        )
    offsets = "".join(
        f'<{name} band_id="{band}">{offset}</{name}>' for band, offset in safe.offsets.items()
    )
    return _PRODUCT.format(
        level=safe.level,
        name=safe.name,
        baseline=safe.baseline,
        satellite=safe.satellite,
        quantification=quantification,
        offsets=offsets,
    )


def write_jp2(path: Path, dn: np.ndarray, gsd_m: int | None) -> None:
    """Numbers [H, W] without loss; not georeferenced if `gsd_m` is None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = {}
    if gsd_m is not None:
        grid["crs"] = CRS.from_epsg(32646)
        grid["transform"] = Affine(gsd_m, 0, LEFT, 0, -gsd_m, TOP)
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        count=1,
        height=dn.shape[0],
        width=dn.shape[1],
        dtype="uint16",
        QUALITY=100,
        REVERSIBLE="YES",
        **grid,
    ) as file:
        file.write(dn.astype(np.uint16), 1)
