"""How fast are Landsat bands prepared, in how much memory, and how fast are records read back?

`python -m benchmarks.prepare [FOLDER]` writes about 1 GB of made-up bands below FOLDER (the
system's temporary folder), in the layout of Landsat 8 Biome, prepares them with the command that
users give, and copies the same files with rasterio alone: read whole, written as GeoTIFF,
uncompressed or with deflate, on one thread or two. The files were just written, so all read from
the system's cache; nothing waits for the disk to have written.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import rasterio
from rasterio.transform import from_origin
from rich.console import Console
from rich.table import Table

from benchmarks.train import data_rate, step_rate
from permjax.cli import report_errors
from permjax.config import TrainConfig
from permjax.data import find_datasets, training_batches
from permjax.sensors import select_sensors

SCENES = (
    "LC80420082013220LGN00",
    "LC80530022014156LGN00",
    "LC81640502013179LGN01",
    "LC80070662014234LGN00",
)
SIZE = 3500
"""Side of a scene in pixels; a patch of 256 does not divide it, as it does no real one."""
BANDS = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11)
SLOTS = 8
"""Bands of a training batch, of which the record has 10."""

MTL = """GROUP = L1_METADATA_FILE
  SPACECRAFT_ID = "LANDSAT_8"
  SUN_ELEVATION = 42.0
{reflectance}
{thermal}
END_GROUP = L1_METADATA_FILE
END
"""
REFLECTANCE = "  REFLECTANCE_MULT_BAND_{0} = 2.0E-05\n  REFLECTANCE_ADD_BAND_{0} = -0.1"
THERMAL = "\n".join(
    f"  {name}_BAND_{{0}} = {value}"
    for name, value in (
        ("RADIANCE_MULT", "3.342E-04"),
        ("RADIANCE_ADD", "0.1"),
        ("K1_CONSTANT", "774.89"),
        ("K2_CONSTANT", "1321.08"),
    )
)
HEADER = """ENVI
samples = {size}
lines = {size}
bands = 1
header offset = 0
data type = 1
interleave = bsq
byte order = 0
"""


@report_errors
def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", nargs="?", help="where 1 GB is written for a while")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as name:
        root = Path(name)
        for seed, scene in enumerate(SCENES):
            write_scene(root / "source" / "BC" / scene, scene, seed)
        files = sorted((root / "source").rglob("*_B*.TIF"))
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        for file in files:
            file.read_bytes()  # From here on all read from the system's cache.
        baselines = {
            f"{title}, {threads} thread{'s' * (threads > 1)}": seconds_to_copy(
                files, root, threads, **profile
            )
            for title, profile in (("uncompressed", {}), ("deflate", {"compress": "deflate"}))
            for threads in (1, 2)
        }
        seconds, peak_mb = prepare(root / "source", root / "data")
        report_preparing(megabytes, seconds, peak_mb, baselines)
        report_reading(root / "data")


def write_scene(folder: Path, scene: str, seed: int) -> None:
    """A scene as an archive of USGS unpacks it: smooth ground and cloud with a sensor's noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    axis = np.linspace(0, 20, SIZE, dtype=np.float32)
    ground = 9000 + 1500 * np.sin(axis)[:, None] * np.cos(0.7 * axis)
    cloud = np.sin(0.9 * axis + seed)[:, None] * np.sin(1.3 * axis) > 0.4
    noise = 60 * rng.standard_normal((SIZE, SIZE), np.float32)
    profile = {"driver": "GTiff", "width": SIZE, "height": SIZE, "count": 1, "dtype": "uint16"}
    profile |= {"crs": "EPSG:32616", "transform": from_origin(5e5, 5e6, 30, 30)}
    for number in BANDS:
        dn = ground + np.roll(noise, number) + np.float32(12_000 + 500 * number) * cloud
        with rasterio.open(folder / f"{scene}_B{number}.TIF", "w", **profile) as file:
            file.write(dn.astype(np.uint16), 1)
    reflectance = "\n".join(REFLECTANCE.format(number) for number in BANDS[:8])
    thermal = "\n".join(THERMAL.format(number) for number in BANDS[8:])
    mtl = MTL.format(reflectance=reflectance, thermal=thermal)
    (folder / f"{scene}_MTL.txt").write_text(mtl)
    mask = np.where(cloud, np.where(noise > 60, np.uint8(192), np.uint8(255)), np.uint8(128))
    (folder / f"{scene}_fixedmask.img").write_bytes(mask.tobytes())
    (folder / f"{scene}_fixedmask.hdr").write_text(HEADER.format(size=SIZE))


class Seconds(NamedTuple):
    """By the clock, and of processors, which other work on the machine changes less."""

    clock: float
    processors: float

    @classmethod
    def now(cls) -> "Seconds":
        """Of this process and those that it started and that have ended."""
        times = os.times()
        return cls(time.perf_counter(), sum(times[:4]))

    def since(self, start: "Seconds") -> "Seconds":
        """From `start` to this moment."""
        return Seconds(self.clock - start.clock, self.processors - start.processors)


def seconds_to_copy(files: list[Path], root: Path, threads: int, **profile: str) -> Seconds:
    """Reads and writes the bands with rasterio and nothing else."""
    with (
        tempfile.TemporaryDirectory(dir=root) as target,
        ThreadPoolExecutor(threads) as pool,
    ):
        os.sync()
        start = Seconds.now()
        list(pool.map(partial(copy, target=Path(target), profile=profile), files))
        return Seconds.now().since(start)


def copy(path: Path, target: Path, profile: dict[str, str]) -> None:
    """One band."""
    with (
        rasterio.open(path) as file,
        rasterio.open(target / path.name, "w", **file.profile | profile) as written,
    ):
        written.write(file.read(1), 1)


def prepare(source: Path, data_dir: Path) -> tuple[Seconds, float]:
    """Seconds and peak resident megabytes of the command, all its processes and starts included."""
    arguments = ["landsat8_biome", f"--source={source}", f"--data_dir={data_dir}"]
    os.sync()
    start = Seconds.now()
    command = psutil.Popen([sys.executable, "-m", "data_prep.build", *arguments])
    peak_bytes = 0
    while command.poll() is None:
        peak_bytes = max(peak_bytes, resident_bytes(command))
        time.sleep(0.05)
    if command.returncode:
        raise SystemExit("the command failed")
    return Seconds.now().since(start), peak_bytes / 1e6


def resident_bytes(command: psutil.Process) -> int:
    """Of a process and all that it started; what they share counts for each."""
    total = 0
    with suppress(psutil.NoSuchProcess):  # It ends.
        for process in (command, *command.children(recursive=True)):
            total += process.memory_info().rss
    return total


def report_preparing(
    megabytes: float, preparing: Seconds, peak_mb: float, baselines: dict[str, Seconds]
) -> None:
    """Each figure beside its limit."""
    title = f"{megabytes:.0f} MB of Landsat bands, {len(SCENES)} scenes"
    table = Table("", "clock", "processors", "limit", title=title)
    seconds = (f"{part:.1f} s" for part in preparing)
    table.add_row("prepare", *seconds, "twice rasterio alone by the clock:")
    for name, copying in baselines.items():
        seconds = (f"{part:.1f} s" for part in copying)
        table.add_row(f"  {name}", *seconds, f"{2 * copying.clock:.1f} s")
    patches = len(SCENES) * math.ceil(SIZE / 256) ** 2
    table.add_row("MB/s", f"{megabytes / preparing.clock:.0f}")
    table.add_row("patches/s of 256 x 256 x 10", f"{patches / preparing.clock:.0f}")
    table.add_row("peak resident memory", f"{peak_mb:.0f} MB", "", "1000 MB")
    Console().print(table)


def report_reading(data_dir: Path) -> None:
    """Records read back, alone and by the data pipeline of training, beside the training step."""
    [dataset] = datasets = find_datasets(data_dir, select_sensors(["landsat"]), "real")
    records = dataset.records("train")
    config = TrainConfig(data="real", data_dir=data_dir, band_slots=(SLOTS,))
    alone = per_second(lambda i: records[i], len(records))
    data = data_rate(config, datasets)
    batch = next(iter(training_batches(datasets, config)))._replace(scene_id=())
    step = step_rate(config, batch)
    limit = f"{3 * step:.0f}, three times the training step's {step:.0f} ({SLOTS} bands)"
    table = Table("reading back", "records/s", "limit")
    table.add_row("as arrays, one thread", f"{alone:.0f}", "")
    table.add_row("cut, augmented and batched, two threads", f"{data:.0f}", limit)
    Console().print(table)


def per_second(work: Callable[[int], object], count: int) -> float:
    """How often a second, over all of `count`."""
    start = time.perf_counter()
    for index in range(count):
        work(index)
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
