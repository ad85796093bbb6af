"""The command line: `permjax mask`, `permjax sensors`, and how commands tell of errors."""

import functools
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Column, Table
from tyro.conf import Positional, arg

from permjax.mask_options import MaskOptions
from permjax.memory import share_heap
from permjax.messages import complain, say, warn
from permjax.sensors import FAMILIES, SENSORS, select_sensors


def report_errors(command: Callable[[], None]) -> Callable[[], None]:
    """Turn errors of a command's input into one sentence on standard error and exit status 1.

    Stopped by a signal, the command exits with 128 + its number, as shells count.
    """

    @functools.wraps(command)
    def run() -> None:
        try:
            with _stopped_by_signals(), _silent_gdal():
                command()
        except (ValueError, OSError, ArithmeticError) as error:
            complain(error)
            sys.exit(1)
        except KeyboardInterrupt as stop:
            say("stopped", sys.stderr)
            # As shells count a signal.
            sys.exit(128 + (stop.args[0] if stop.args else signal.SIGINT))

    return run


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """A polite kill and a closed terminal end a command as Ctrl-C does: what it began is undone."""

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # A second one does not disturb the undoing.
        raise KeyboardInterrupt(number)

    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    usual = (signal.SIG_DFL, signal.default_int_handler)  # `nohup`, say, has one ignored.
    # Not all systems have all.
    before = {n: signal.signal(n, stop) for n in numbers if n and signal.getsignal(n) in usual}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:  # What has come stays ignored to the end.
                signal.signal(number, handler)


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


def mask(options: Annotated[MaskOptions, arg(name="")]) -> None:
    """Mask the clouds of scenes: a SCENE into the file MASK, or several into --output_dir.

    Exit status: 0 all were masked, 1 some failed (each is named, the others are done), 2 the
    command itself is wrong.
    """
    # `permjax sensors` does not wait for JAX.
    from permjax.mask_command import mask_all, prepare  # noqa: PLC0415

    share_heap()
    with _wrong_command():
        work = prepare(options)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", UserWarning)  # for each scene
        failed = mask_all(work)
    if failed and options.output_dir is not None:
        names = ", ".join(map(str, failed))
        complain(f"{len(failed)} of {len(work.jobs)} scenes failed: {names}")
    sys.exit(1 if failed else 0)


@contextmanager
def _wrong_command() -> Iterator[None]:
    """What is found here to be wrong is wrong with the command itself: exit status 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        complain(error)
        sys.exit(2)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from permjax.program_cache import cache_fault  # noqa: PLC0415

    warn(cache_fault(str(message)) or message)


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
    with _wrong_command():
        selected = select_sensors([name])
    for sensor in selected:
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
