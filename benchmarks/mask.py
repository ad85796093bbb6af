"""What masking a scene costs: time a megapixel, memory, and the wait for the first result.

`python benchmarks/mask.py [--size 10980] [--bands 13,4] [--window 768]`, on an otherwise idle
machine. Each number of bands is a process of its own, which masks an invented Sentinel-2 scene of
size x size pixels into a file, and tells

- the seconds until the first window's result, from the start of the process (import, compile or
  load what was compiled), first with an empty cache and then with what that left there;
- the seconds a megapixel of the whole file, and of it those that the model alone takes;
- the most memory that lay in the process (limit for 13 bands of 10980 x 10980: 1.5 GB).
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTED = time.perf_counter()


def main() -> None:
    """Measure each number of bands in its own process and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=10_980)
    parser.add_argument("--bands", default="13,4")
    parser.add_argument("--window", type=int, default=768)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.size, options.window)
        return
    print("bands  first result, s  whole, s/MP  model, s/MP  peak, MB")
    for bands in options.bands.split(","):
        with tempfile.TemporaryDirectory() as cache:
            for size in (256, options.size):  # The first fills the cache with the start's programs.
                command = [sys.executable, __file__, f"--measure={bands}", f"--size={size}"]
                command.append(f"--window={options.window}")
                environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache}
                subprocess.run(command, check=True, env=environment)


def measure(N: int, size: int, window: int) -> None:
    """Mask one invented scene and print a row."""
    # The time to import them is part of the first result.
    import numpy as np  # noqa: PLC0415
    from affine import Affine  # noqa: PLC0415
    from flax import nnx  # noqa: PLC0415

    from permjax.bands import BandDescription  # noqa: PLC0415
    from permjax.inference import Masker  # noqa: PLC0415
    from permjax.models import CloudMasker, ModelConfig  # noqa: PLC0415
    from permjax.rasters import Scene  # noqa: PLC0415
    from permjax.sensors import SENSORS  # noqa: PLC0415

    class Invented(Scene):
        """Reads noise over large forms, made from a small tile."""

        def read(self, window):
            h, w = (part.stop - part.start for part in window)
            return np.resize(TILE, (h, w, N))

    TILE = np.random.default_rng(0).uniform(0.08, 0.6, (1, 4096, N)).astype(np.float32)
    bands = BandDescription(*(x[:N] for x in SENSORS["sentinel2a_msi"].describe()))
    scene = Invented(
        name="invented",
        channels=(),
        bands=bands,
        sensor="sentinel2a_msi",
        gsd_m=20,
        sun_elevation_deg=45,
        crs=None,
        transform=Affine(20, 0, 0, 0, -20, 0),
        height=size,
        width=size,
        files=frozenset(),
    )
    masker = Masker(CloudMasker(ModelConfig(), rngs=nnx.Rngs(0)), window_size=window)
    side = min(size, window)
    image = scene.read((slice(0, side), slice(0, side)))
    masker.predict(image, wavelength_nm=bands.wavelength_nm, bandwidth_nm=bands.bandwidth_nm)
    first = time.perf_counter() - STARTED
    times = []
    for _ in range(3):
        start = time.perf_counter()
        masker.predict(image, wavelength_nm=bands.wavelength_nm, bandwidth_nm=bands.bandwidth_nm)
        times.append(time.perf_counter() - start)
    with tempfile.TemporaryDirectory() as folder:
        summary = masker.mask_scene(scene, Path(folder) / "mask.tif", show_progress=False)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    each = summary.seconds / size**2 * 1e6
    alone = min(times) / image.shape[0] ** 2 * 1e6
    print(f"{N:5}  {first:15.1f}  {each:11.3f}  {alone:11.3f}  {megabytes:8.0f}   {size} x {size}")


if __name__ == "__main__":
    main()
