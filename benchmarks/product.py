"""What masking a whole Sentinel-2 product costs: time, beside reading its bands, and memory.

`python benchmarks/product.py [--folder FOLDER]`, on an otherwise idle machine. A level 1C product
of full size (109.8 km: 10980 x 10980 pixels at 10 m, 13 bands, JPEG 2000) is written once, in the
real layout and with invented clouds over invented ground; then, each in a process of its own, its
bands are read as masking reads them, and `permjax mask` masks it at 20 m, its default, and at 10
m. Limits: 1.5 GB resident; on an accelerator 1.5 times the time of reading.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
SIDE_M = 109_800
TEXTURE = 2048

READ = """
import sys
from permjax.scenes import open_scene
from permjax.windows import read_windows, spans
with open_scene(sys.argv[1], gsd_m=float(sys.argv[2])) as scene:
    rows, columns = (spans(length, 768, 16) for length in (scene.height, scene.width))
    for _ in read_windows(scene.read, rows, columns, len(scene.bands.kind)):
        pass
"""

MASK = """
import sys
from permjax.cli import main
sys.argv = ["permjax", "mask", sys.argv[1], sys.argv[3], "--gsd=" + sys.argv[2]]
main()
"""


def main() -> None:
    """Write the product if it is not there, read it, mask it, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = Path.home() / ".cache" / "permjax" / "product"
    parser.add_argument("--folder", type=Path, default=default, help="where the product lies")
    folder = parser.parse_args().folder
    product = next(iter(folder.glob("*.SAFE")), None) or write_product(folder)
    table = Table("", "s", "peak, MB", title="Sentinel-2 L1C, 109.8 km, 13 bands")
    for gsd_m in ("20", "10"):
        for name, code in (("reading", READ), ("permjax mask", MASK)):
            seconds, megabytes = measure(code, product, gsd_m, folder / "mask.tif")
            table.add_row(f"{name} at {gsd_m} m", f"{seconds:.0f}", f"{megabytes:.0f}")
    Console().print(table)


def measure(code: str, product: Path, gsd_m: str, destination: Path) -> tuple[float, float]:
    """Seconds and most resident megabytes of a process, from its start to its end."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code, product, gsd_m, destination])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed with status {status}")
    return time.perf_counter() - start, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def write_product(folder: Path) -> Path:
    """A product whose images compress about as real ones do: lossless, some 5 bits a pixel."""
    sys.path.insert(0, str(ROOT))
    from tests.fake_safe import Safe, write_safe  # noqa: PLC0415

    print(f"writing a product into {folder}, which takes minutes", file=sys.stderr)
    forms = texture(np.random.default_rng(0))
    noise = np.random.default_rng(1).integers(0, 32, (TEXTURE, TEXTURE))

    def pixels(_band: str, side: int) -> np.ndarray:
        ground = 1000 + 900 * forms + noise
        image = np.where(forms > 0.7, 8000 + 4000 * (forms - 0.7) + noise, ground)
        tiles = -(-side // TEXTURE)
        return np.tile(image.astype(np.uint16), (tiles, tiles))[:side, :side]

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        product = write_safe(Path(unfinished), Safe(side_m=SIDE_M), pixels=pixels)
        return product.rename(folder / product.name)


def texture(rng: np.random.Generator) -> np.ndarray:
    """Forms of all sizes between 0 and 1, [TEXTURE, TEXTURE]: noise with an amplitude of 1/k."""
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(TEXTURE), np.fft.fftfreq(TEXTURE)))
    waves = np.fft.fft2(rng.standard_normal((TEXTURE, TEXTURE))) / np.maximum(k, 1 / TEXTURE)
    forms = np.fft.ifft2(waves).real
    return (forms - forms.min()) / np.ptp(forms)


if __name__ == "__main__":
    main()
