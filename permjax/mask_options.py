"""What `permjax mask` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from permjax.styles import Style


@dataclass(frozen=True)
class MaskOptions:
    """The command line of `permjax mask`.

    Attributes:
        paths: Sentinel-2 .SAFE or Landsat products, folders or archives, or any raster file whose
            bands are described; without --output_dir, the last is the GeoTIFF to write.
        output_dir: folder for the masks, SCENE_cloud.tif; made if it is not there.
        skip_existing: leave out scenes whose mask is there.
        sensor: the sensor of a raster file without band tags, as listed by `permjax sensors`, or a
            TOML file that describes it.
        bands: centre and width in nm of each band of a raster file, as in 665:30,560:35; kind is
            reflectance, surface_reflectance or brightness_temperature.
        scale: reflectance for each digital number of a raster file that does not say it itself.
        offset: reflectance of digital number 0, with --scale.
        surface: the raster file holds surface reflectance (a level 2 product).
        gsd: size of a pixel of the mask in metres; 20 for Sentinel-2, the scene's own otherwise.
        style: classes: 0 clear, 1 thick cloud, 2 thin cloud, 3 cloud shadow; cloud: 1 cloud, 0 not;
            valid: 1 neither cloud nor shadow, 0 either; 255 no data.
        dilate: metres by which cloud and shadow grow.
        min_size: metres across; smaller clouds, shadows and gaps in them are left out.
        probabilities: write the probability of each class beside the mask.
        quicklook: write a PNG of the image with the mask's outlines beside the mask.
        workdir: directory of a run whose newest checkpoint is used instead of the weights that
            come with permjax.
    """

    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="SCENE [SCENE ...] [MASK]")]
    output_dir: Path | None = None
    skip_existing: bool = False
    sensor: str | None = None
    bands: Annotated[str | None, arg(metavar="CENTRE:WIDTH[:KIND],...")] = None
    scale: float | None = None
    offset: float = 0.0
    surface: bool = False
    gsd: float | None = None
    style: Style = "classes"
    dilate: float = 0.0
    min_size: float = 0.0
    probabilities: bool = False
    quicklook: bool = False
    workdir: Path | None = None
