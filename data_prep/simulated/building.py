"""Simulated scenes of many sensors into data sets, by all processors."""

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from functools import partial
from itertools import islice
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, ProgressColumn, Task
from rich.text import Text

from data_prep.directories import writable
from data_prep.patches import SPLITS, prepare, quiet_tfds, record
from data_prep.simulated.scene import simulate
from data_prep.simulated.simulated_dataset_builder import Builder, Records, SimulatedConfig
from data_prep.simulated.weather import frozen
from permjax.locks import locked
from permjax.sensors import Sensor

# Scene seeds of the splits never meet, however many patches are asked for, today or later, so a
# scene that one sensor trains on is never one that another is tested on.
MOST_SCENES: Final = 1_000_000
SEEDS_PER_SPLIT: Final = 1000 * MOST_SCENES


def build(
    data_dir: Path,
    sensors: Sequence[Sensor],
    train: int,
    validation: int,
    test: int,
    patch_size: int = 128,
    seed: int = 0,
    only_frozen: bool = False,
) -> list[Path]:
    """Simulates scenes of each sensor into `<data_dir>/simulated/<sensor>/<version>`.

    A data set that is there with the same settings is left as it is; one with others, which may
    be in use, is refused. A data set appears when it is complete: what a stopped run leaves is
    never taken for one.

    Args:
        data_dir: where data sets lie.
        sensors: of the table or virtual.
        train: scenes, one patch each, in this split.
        validation: likewise.
        test: likewise.
        patch_size: side of a patch in pixels.
        seed: other seed, other scenes.
        only_frozen: scenes with snow or ice alone, clear and cloudy, into `frozen-<sensor>`; they
            are among those of a build of about six times as many.

    Returns:
        the directory of each data set, in the order of the sensors.

    Raises:
        ValueError: a count, the patch size or the seed cannot be used.
        FileExistsError: a data set is there with other settings.
        OSError: `data_dir` cannot be written, or another build goes on in it.
    """
    counts: dict[str, int] = dict(zip(SPLITS, (train, validation, test), strict=True))
    _check(counts, patch_size, seed)
    settings = [_settings(sensor, counts, patch_size, seed) for sensor in sensors]
    prefix = "frozen-" if only_frozen else ""
    directories = [
        Path(data_dir) / "simulated" / f"{prefix}{sensor.name}" / f"{Builder.VERSION}"
        for sensor in sensors
    ]
    missing = []
    for sensor, setting, directory in zip(sensors, settings, directories, strict=True):
        there = _built_settings(directory)
        if there is None:
            missing.append((sensor, setting, directory))
        elif there != setting:
            raise FileExistsError(
                f"{directory} was simulated with other settings: remove it, or choose another "
                "data_dir"
            )
    if missing:
        total = len(missing) * sum(counts.values())
        with (
            writable(Path(data_dir), Builder.name) as place,
            locked(place / ".lock", f"{place}: another build goes on in it"),
            patch_progress("simulating patches", total) as advance,
            all_processors() as pool,
        ):
            for sensor, setting, directory in missing:
                make = partial(_records, pool, advance, sensor, patch_size, seed, only_frozen)
                splits = {name: partial(make, name, n) for name, n in counts.items() if n}
                _write(sensor, setting, directory, splits)
    return directories


def _write(
    sensor: Sensor, settings: dict[str, Any], directory: Path, splits: dict[str, Callable]
) -> None:
    """Writes the data set of one sensor, `directory` being `<data_dir>/simulated/<name>/...`."""
    name = directory.parent.name
    config = SimulatedConfig(name=name, sensor=sensor.name, settings=settings, splits=splits)
    # What a killed run left under TFDS's name for unfinished work.
    for old in (directory, *directory.parent.glob(f"incomplete.*_{directory.name}")):
        shutil.rmtree(old, ignore_errors=True)
    with quiet_tfds():
        builder = Builder(data_dir=directory.parents[2], config=config)
    prepare(builder)


def _check(counts: Mapping[str, int], patch_size: int, seed: int) -> None:
    for split, count in counts.items():
        if not 0 <= count <= MOST_SCENES:
            raise ValueError(f"{split} is {count}: give 0 to {MOST_SCENES} scenes")
    if not any(counts.values()):
        raise ValueError("no split has a scene: give train, validation or test a number above 0")
    if patch_size < 1 or seed < 0:
        raise ValueError(f"patch_size is {patch_size} and seed {seed}: give 1 or more, 0 or more")


def _settings(
    sensor: Sensor, counts: Mapping[str, int], patch_size: int, seed: int
) -> dict[str, Any]:
    """All that the records follow from, as JSON gives it back."""
    bands = [astuple(band) for band in sensor.bands]
    settings = {**counts, "patch_size": patch_size, "seed": seed, "gsd_m": sensor.gsd_m}
    return json.loads(json.dumps({**settings, "bands": bands}))


def _built_settings(directory: Path) -> dict[str, Any] | None:
    """The settings of a complete data set; None where there is none."""
    try:
        text = (directory / "metadata.json").read_text(encoding="utf-8")
        return json.loads(text)["settings"]
    except (OSError, ValueError, KeyError):
        return None


def scene_seed(seed: int, split: str, index: int, sensor: str) -> int:
    """The seed of a scene of a split.

    Held-out scenes are the same for all sensors, which can then be compared; each sensor trains
    nearly always on scenes of its own, so that a model of many sensors sees more of the world.
    """
    of_split = (seed * len(SPLITS) + SPLITS.index(split)) * SEEDS_PER_SPLIT + index
    return of_split + (crc32(sensor.encode()) % 999 * MOST_SCENES if split == "train" else 0)


def _records(
    pool: Pool,
    advance: Callable[[], None],
    sensor: Sensor,
    patch_size: int,
    seed: int,
    only_frozen: bool,
    split: str,
    count: int,
) -> Records:
    every = (scene_seed(seed, split, index, sensor.name) for index in range(MOST_SCENES))
    seeds = [*islice(filter(frozen, every) if only_frozen else every, count)]
    work = partial(_record, sensor=sensor, patch_size=patch_size)
    for scene, example in zip(seeds, pool.imap(work, seeds, chunksize=2), strict=True):
        yield scene, example
        advance()


def _record(scene: int, sensor: Sensor, patch_size: int) -> dict[str, Any]:
    return record(simulate(scene, sensor, patch_size))


@contextmanager
def all_processors() -> Iterator[Pool]:
    """A process for each processor that this one may use, each with one thread of algebra."""
    # Spawned, not forked: a fork of a process in which JAX runs can hang.
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone tells.
    processors = len(affinity(0)) if affinity else os.cpu_count()
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        pool = multiprocessing.get_context("spawn").Pool(processors)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    with pool:
        yield pool


@contextmanager
def patch_progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error; what it gives is called after each patch."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), _Rate())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


class _Rate(ProgressColumn):
    """Patches a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f} patches/s" if speed else "")
