"""The command line: `permjax mask`, `permjax sensors`; and how commands tell of errors."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

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
            command()
        except (ValueError, OSError, ArithmeticError) as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("stopped")

    return run


def mask(
    scene: Annotated[Positional[Path], arg(metavar="SCENE")],
    cloud_mask: Annotated[Positional[Path], arg(metavar="MASK")],
    workdir: Path,
    sensor: str | None = None,
    surface: bool = False,
    scale: float | None = None,
    offset: float = 0.0,
) -> None:
    """Mask the clouds of a scene with a trained model.

    Args:
        scene: a Landsat 8-9 Collection 2 product folder, or a GeoTIFF with described bands.
        cloud_mask: the GeoTIFF to write: 0 clear, 1 thick cloud, 2 thin cloud, 3 cloud shadow,
            255 no data.
        workdir: directory of the run whose newest checkpoint is used.
        sensor: the sensor of a GeoTIFF without band tags, as listed by `permjax sensors`, or a TOML
            file that describes it.
        surface: the GeoTIFF holds surface reflectance (a level 2 product).
        scale: reflectance for each digital number of a GeoTIFF that does not say it itself.
        offset: reflectance of digital number 0, with `scale`.
    """
    # Masking alone imports them: `permjax sensors` stays quick, and runs are restored by orbax.
    from permjax.checkpoints import load_model  # noqa: PLC0415
    from permjax.inference import Masker  # noqa: PLC0415
    from permjax.scenes import open_scene  # noqa: PLC0415

    opening = open_scene(scene, sensor=sensor, surface=surface, scale=scale, offset=offset)
    with opening as opened:
        summary = Masker(load_model(workdir)).mask_scene(opened, cloud_mask)
    print(
        f"{cloud_mask}: cloud {summary.cloud_percent:.1f} %, shadow {summary.shadow_percent:.1f} %"
        f" of the pixels with data; no data {summary.no_data_percent:.1f} %;"
        f" {summary.seconds:.1f} s"
    )


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
    tyro.extras.subcommand_cli_from_dict(commands, prog="permjax", use_underscores=True)
