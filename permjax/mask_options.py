"""What `permjax mask` can be asked for."""

from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from permjax.bands import BandDescription, Kind, describe_bands
from permjax.sensors import select_sensors
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
        min_size: metres; clouds, shadows and gaps smaller than a square of such sides become what
            is around them.
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


def check_options(options: MaskOptions) -> None:
    """Refuses what cannot be meant, whatever the scenes.

    Raises:
        FileNotFoundError: a sensor's TOML file is not there.
        ValueError: the options are wrong.
    """
    for name, value in (("scale", options.scale), ("gsd", options.gsd)):
        if value is not None and not 0 < value < inf:
            raise ValueError(f"--{name}={value:g}: must be a number above 0")
    for name, value in (("dilate", options.dilate), ("min_size", options.min_size)):
        if not 0 <= value < inf:
            raise ValueError(f"--{name}={value:g}: must be a length in metres, 0 or more")
    if options.offset and options.scale is None:
        raise ValueError(f"--offset={options.offset:g} is given without --scale: give both")
    if not isfinite(options.offset):
        raise ValueError(f"--offset={options.offset:g}: must be a number such as -0.1")
    if options.sensor is None:
        return
    if options.bands is not None:
        raise ValueError("--sensor and --bands both describe the bands: leave out one of them")
    sensors = [sensor.name for sensor in select_sensors([options.sensor])]
    if len(sensors) > 1:
        raise ValueError(f"--sensor={options.sensor} is a family: name one of {', '.join(sensors)}")


def parse_bands(text: str, surface: bool) -> BandDescription:
    """Bands as the command line gives them: `665:30,560:35,10900:600:brightness_temperature`.

    Args:
        text: centre:width of each band in nanometres, in the file's order; its kind may follow.
        surface: what is reflectance is surface reflectance.

    Raises:
        ValueError: it is not of this form, or no imager has such bands.
    """
    reflected = Kind.SURFACE_REFLECTANCE if surface else Kind.REFLECTANCE
    rows = [band.strip().split(":") for band in text.split(",")]
    for row in rows:
        if len(row) not in (2, 3):
            raise ValueError(
                f"--bands: {':'.join(row)!r} is not CENTRE:WIDTH in nm, as in --bands=665:30,560:35"
            )
    try:
        return describe_bands(
            [row[0] for row in rows],
            [row[1] for row in rows],
            [row[2] if len(row) == 3 else reflected for row in rows],
        )
    except ValueError as error:
        raise ValueError(f"--bands: {error}") from None
