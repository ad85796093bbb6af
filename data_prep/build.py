"""Makes data sets of labelled patches: `python -m data_prep.build NAME --data_dir=DIR ...`."""

import signal
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from data_prep.packing import pack
from data_prep.patches import SPLITS
from data_prep.sources import NAMES, data_set
from permjax.sensors import Sensor, select_sensors


@dataclass(frozen=True)
class Command:
    """A data set that can be made: its name, what it is, its own arguments and how it is made."""

    name: str
    title: str
    arguments: Callable[[ArgumentParser], None]
    build: Callable[[Namespace], list[Path]]
    patch_size: int = 128
    facts: tuple[str, str, str, str, str] = ("any", "any", "nothing", "your own", "your own files")
    """For the list: sensor, scenes, download, licence, where from."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; 0 = made, 1 = could not be made, 2 = wrong use."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        _list()
        return 0
    if options.command is None:
        parser.error("name a data set; --list shows them")
    start = time.perf_counter()
    try:
        built = options.command.build(options)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        said = f"patches of {options.patch_size} pixels do not fit in memory: take smaller ones"
        print(f"error: {said}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: the same command goes on, or begins anew", file=sys.stderr)
        return 1
    _report(built, time.perf_counter() - start)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m data_prep.build", description=__doc__)
    parser.add_argument("--list", action="store_true", help="show what there is and stop")
    parser.set_defaults(command=None)
    names = parser.add_subparsers(metavar="NAME", title="data sets")
    for command in COMMANDS:
        own = names.add_parser(command.name, help=command.title, description=command.title)
        own.set_defaults(command=command)
        own.add_argument("--data_dir", type=Path, required=True, help="where data sets are put")
        own.add_argument(
            "--patch_size",
            type=_positive,
            default=command.patch_size,
            help=f"side of a patch in pixels ({command.patch_size})",
        )
        command.arguments(own)
    return parser


def _list() -> None:
    """Prints a row for each data set."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("name", "sensor", "scenes", "download", "licence", "where from"):
        table.add_column(column, no_wrap=True)
    for command in COMMANDS:
        table.add_row(command.name, *command.facts)
    # Never cut, whatever the terminal: names and addresses are there to be copied.
    Console(width=1000).print(table)


def _simulated_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--sensors",
        type=_sensors,
        default="landsat,sentinel",
        help="sensors and families, separated by commas (landsat,sentinel)",
    )
    for split, scenes in zip(SPLITS, (200, 20, 40), strict=True):
        parser.add_argument(
            f"--{split}",
            type=_count,
            default=scenes,
            help=f"scenes of each sensor in the {split} split ({scenes})",
        )
    parser.add_argument("--seed", type=int, default=0, help="other seed, other scenes (0)")


def _build_simulated(options: Namespace) -> list[Path]:
    from data_prep import simulated  # noqa: PLC0415  # Its tables are not needed by the others.

    counts = {split: getattr(options, split) for split in SPLITS}
    return simulated.build(
        options.data_dir,
        options.sensors,
        patch_size=options.patch_size,
        seed=options.seed,
        **counts,
    )


def _folder_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--source", type=Path, required=True, help="the folder of GeoTIFFs")
    parser.add_argument(
        "--table",
        type=Path,
        help="what its codes and tags mean (data_prep/geotiff_folder/default.toml)",
    )
    parser.add_argument(
        "--keep_going",
        action="store_true",
        help="leave files out that cannot be used and list them at the end",
    )


def _build_folder(options: Namespace) -> list[Path]:
    from data_prep import geotiff_folder  # noqa: PLC0415  # As above.

    return geotiff_folder.build(
        options.data_dir,
        options.source,
        table=options.table or geotiff_folder.DEFAULT_TABLE,
        patch_size=options.patch_size,
        keep_going=options.keep_going,
    )


def _clouded_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--source", type=Path, required=True, help="the folder of GeoTIFFs")
    parser.add_argument(
        "--table",
        type=Path,
        help="what its codes and tags mean (data_prep/geotiff_folder/default.toml)",
    )
    parser.add_argument("--copies", type=_positive, default=20, help="patches of each image (20)")
    parser.add_argument("--seed", type=int, default=0, help="other seed, other clouds (0)")


def _build_clouded(options: Namespace) -> list[Path]:
    from data_prep import clouded, geotiff_folder  # noqa: PLC0415  # As above.

    return clouded.build(
        options.data_dir,
        options.source,
        table=options.table or geotiff_folder.DEFAULT_TABLE,
        copies=options.copies,
        seed=options.seed,
        patch_size=options.patch_size,
    )


def _source_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--source", type=Path, required=True, help="folder or archive that was downloaded"
    )
    parser.add_argument(
        "--stride",
        type=_positive,
        help="pixels from one patch to the next, at most the patch size (the patch size)",
    )
    parser.add_argument(
        "--keep_going",
        action="store_true",
        help="leave scenes out that cannot be used and list them at the end",
    )


def _build_source(options: Namespace) -> list[Path]:
    return pack(
        data_set(options.command.name),
        options.source,
        options.data_dir,
        patch_size=options.patch_size,
        stride=options.stride,
        keep_going=options.keep_going,
    )


def _source_command(name: str) -> Command:
    it = data_set(name)
    facts = (it.sensor, str(it.scene_count), it.download, it.licence, it.where)
    return Command(name, it.title, _source_arguments, _build_source, patch_size=256, facts=facts)


COMMANDS: Final = (
    *(_source_command(name) for name in NAMES),
    Command(
        "simulated",
        "scenes made by physics, for any sensors",
        _simulated_arguments,
        _build_simulated,
        facts=("any", "any", "nothing", "Apache-2.0", "made here"),
    ),
    Command(
        "geotiff_folder",
        "any folder of GeoTIFFs with described bands and label files",
        _folder_arguments,
        _build_folder,
    ),
    Command(
        "clouded",
        "simulated clouds over the clear images of a folder of GeoTIFFs",
        _clouded_arguments,
        _build_clouded,
    ),
)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _sensors(text: str) -> tuple[Sensor, ...]:
    try:
        return select_sensors([name for name in text.split(",") if name])
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(str(error)) from None


def _report(built: Sequence[Path], seconds: float) -> None:
    """A table of what was made: patches of each split, and the size on disk."""
    import tensorflow_datasets as tfds  # noqa: PLC0415  # --help and wrong use stay quick.

    table = Table(title=f"patches, made in {seconds:.1f} s")
    table.add_column("data set", overflow="fold")
    for column in (*SPLITS, "MB"):
        table.add_column(column, justify="right")
    for path in built:
        splits = tfds.builder_from_directory(path).info.splits
        patches = [str(splits[s].num_examples) if s in splits else "-" for s in SPLITS]
        size = sum(file.stat().st_size for file in path.iterdir()) / 1e6
        table.add_row(f"{path.parts[-3]}/{path.parts[-2]}", *patches, f"{size:.1f}")
    Console().print(table)


if __name__ == "__main__":
    # A polite kill is as good as Ctrl-C: what is under way is tidied up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
