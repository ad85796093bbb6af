"""The command line: `permjax mask`, `permjax sensors`, and how commands tell of errors."""

import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Column, Table
from tyro.conf import Positional, arg

from permjax.sensors import FAMILIES, SENSORS, select_sensors


def report_errors(command: Callable[[], None]) -> Callable[[], None]:
    """Turn errors of a command's input into one sentence on standard error and exit status 1."""

    @functools.wraps(command)
    def run() -> None:
        try:
            with _silent_gdal():
                command()
        except (ValueError, OSError, ArithmeticError) as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            sys.exit(130)  # as shells count an interrupt: 128 + SIGINT

    return run


@contextmanager
def _silent_gdal() -> Iterator[None]:
    """Keeps back rasterio's complaint when GDAL quotes a damaged file's bytes: a traceback.

    What is wrong with the file is said by the error that follows.
    """
    before = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if unraisable.object != "rasterio._env.log_error":
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def mask(
    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="SCENE [SCENE ...] [MASK]")],
    output_dir: Path | None = None,
    skip_existing: bool = False,
    sensor: str | None = None,
    bands: Annotated[str | None, arg(metavar="CENTRE:WIDTH[:KIND],...")] = None,
    scale: float | None = None,
    offset: float = 0.0,
    surface: bool = False,
    gsd: float | None = None,
    style: Literal["classes", "cloud", "valid"] = "classes",
    dilate: float = 0.0,
    min_size: float = 0.0,
    probabilities: bool = False,
    quicklook: bool = False,
    workdir: Path | None = None,
) -> None:
    """Mask the clouds of scenes: a SCENE into the file MASK, or several into --output_dir.

    Exit status: 0 all were masked, 1 some failed (each is named, the others are done), 2 the
    command itself is wrong.

    Args:
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
    # `permjax sensors` does not wait for JAX.
    from permjax.config import load_config  # noqa: PLC0415
    from permjax.mask_command import mask_all, parse_bands, plan  # noqa: PLC0415

    try:
        described = None if bands is None else parse_bands(bands, surface)
        if sensor is not None:
            select_sensors([sensor])
        jobs = plan(paths, output_dir, skip_existing)
        if workdir is not None:
            load_config(workdir)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    if output_dir is not None:
        output_dir.mkdir(parents=True, exist_ok=True)
    opening = {
        "sensor": sensor,
        "bands": described,
        "surface": surface,
        "scale": scale,
        "offset": offset,
        "gsd_m": gsd,
    }
    writing = {
        "style": style,
        "dilate_m": dilate,
        "min_size_m": min_size,
        "probabilities": probabilities,
        "quicklook": quicklook,
    }
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", UserWarning)  # for each scene
        failed = mask_all(jobs, workdir, opening, writing)
    if failed and output_dir is not None:
        names = ", ".join(map(str, failed))
        print(f"error: {len(failed)} of {len(jobs)} scenes failed: {names}", file=sys.stderr)
    sys.exit(1 if failed else 0)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


def sensors(name: Annotated[Positional[str | None], arg(metavar="NAME")] = None) -> None:
    """List the known sensors, or the bands of a sensor or family.

    Args:
        name: a sensor or family; all sensors if not given.
    """
    console = Console()
    if name is None:
        name_column = Column("name", no_wrap=True)  # to be copied
        table = Table(name_column, "sensor", "bands", "gsd, m", "families", box=None)
        for sensor in SENSORS.values():
            families = ", ".join(f for f, members in FAMILIES.items() if sensor.name in members)
            count, gsd_m = str(len(sensor.bands)), f"{sensor.gsd_m:g}"
            table.add_row(sensor.name, sensor.title, count, gsd_m, families)
        console.print(table)
        return
    for sensor in select_sensors([name]):
        title = f"{sensor.name}: {sensor.title}"
        columns = ("band", "wavelength, nm", "bandwidth, nm", "gsd, m", "kind")
        table = Table(*columns, title=title, caption=sensor.source, box=None)
        for band in sensor.bands:
            numbers = (f"{x:g}" for x in (band.wavelength_nm, band.bandwidth_nm, band.gsd_m))
            table.add_row(band.name, *numbers, band.kind.word)
        console.print(table)


@report_errors
def main() -> None:
    """Run the command line."""
    commands = {"mask": mask, "sensors": sensors}
    tyro.extras.subcommand_cli_from_dict(
        commands, prog="permjax", use_underscores=True, config=(tyro.conf.FlagCreatePairsOff,)
    )
