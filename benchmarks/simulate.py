"""How many patches a second does the simulator make? `python -m benchmarks.simulate`.

128 x 128 pixels of all 13 bands of Sentinel-2, on two processes; the limit is 20 a second.
"""

import multiprocessing
import os
import time

from rich.console import Console
from rich.table import Table

PROCESSES = 2
PATCHES = 160
LIMIT = 20


def make(seed: int) -> int:
    """Simulates one patch; returns its number of bands."""
    from data_prep.simulated import simulate  # noqa: PLC0415  # In the worker, after its threads.
    from permjax.sensors import SENSORS  # noqa: PLC0415

    return simulate(seed, SENSORS["sentinel2a_msi"]).image.shape[2]


def main() -> None:
    """Times a run, imports and tables excluded, and prints it beside the limit."""
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        pool.map(make, range(4 * PROCESSES), chunksize=1)
        start = time.perf_counter()
        bands = pool.map(make, range(100, 100 + PATCHES), chunksize=4)
        rate = PATCHES / (time.perf_counter() - start)
    table = Table("patches of 128 x 128", "bands", "processes", "patches/s", "limit")
    table.add_row(f"{PATCHES}", f"{bands[0]}", f"{PROCESSES}", f"{rate:.1f}", f"{LIMIT}")
    Console().print(table)


if __name__ == "__main__":
    main()
