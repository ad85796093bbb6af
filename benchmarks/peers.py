"""How fast permjax masks against two peers that run offline, on the same arrays, on two cores.

`python benchmarks/peers.py --samples=SAMPLES [--side 2048] [--environments FOLDER]`, on an
otherwise idle machine. The first run makes a virtual environment for each peer and installs it
there with pip, which needs the network; later runs do not. All three mask one Sentinel-2 L1C image
of 13 bands tiled up from real patches, each with the bands it takes, one after another in processes
that have two cores. A peer is imported, loaded and has masked once before it is timed; the best of
three counts, for each alike.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rich.console import Console
from rich.table import Table

from permjax.cli import report_errors

PATCHES = "sentinel2_sen12mscr_pairs"
"""The folder of samples whose cloudy patches are masked."""
CORES = 2
REPEATS = 3
ENVIRONMENTS = Path.home() / ".cache" / "permjax" / "peers"
"""Where the peers' virtual environments live, if nothing else is asked for."""


class Peer(NamedTuple):
    """What is measured: what pip installs (none: it is here), its bands, how it masks, the limit.

    `code` defines `mask()` from `image`, float32 [H, W, 13] in the order of the bands' numbers;
    the limit is how many times as fast permjax is to be.
    """

    name: str
    requirement: str | None
    bands: int
    code: str
    limit: str


PEERS = (
    Peer(
        "permjax",
        None,
        13,
        """
import permjax
bands = permjax.SENSORS["sentinel2a_msi"].describe()
permjax.keep_freed_memory()  # As the README says for many images in one process.
masker = permjax.load_pretrained()
def mask():
    masker.predict(image, wavelength_nm=bands.wavelength_nm, bandwidth_nm=bands.bandwidth_nm)
""",
        "-",
    ),
    Peer(
        "ukis-csmask 1.0.0",
        "ukis-csmask[cpu]==1.0.0",
        6,
        """
from ukis_csmask.mask import CSmask
six = np.ascontiguousarray(image[..., [1, 2, 3, 7, 11, 12]])
names = ["blue", "green", "red", "nir", "swir16", "swir22"]
def mask():
    CSmask(six, names, intra_op_num_threads=cores, providers=["CPUExecutionProvider"])
""",
        "4",
    ),
    Peer(
        "s2cloudless 1.7.3",
        "s2cloudless==1.7.3",
        10,
        """
from s2cloudless import S2PixelCloudDetector
detector = S2PixelCloudDetector(average_over=4, dilation_size=2, all_bands=True)
def mask():
    detector.get_cloud_masks(image[None], num_threads=cores)
""",
        "8",
    ),
)

_HARNESS = """
import json, sys, time
import numpy as np
path, repeats, cores = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
image = np.load(path)
begin = time.perf_counter()
{code}
mask()
seconds = [time.perf_counter() - begin]
for _ in range(repeats):
    begin = time.perf_counter()
    mask()
    seconds.append(time.perf_counter() - begin)
print(json.dumps(seconds))
"""


@report_errors
def main() -> None:
    """Set up, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=Path, required=True, help="the folder of samples")
    parser.add_argument("--side", type=int, default=2048, help="pixels along a side of the image")
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="where peers live")
    options = parser.parse_args()
    image, source = sentinel2_image(options.samples / PATCHES, options.side)
    pythons = [environment(peer, options.environments) for peer in PEERS]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.npy"
        np.save(path, image)
        seconds = [measure(*run, path) for run in zip(PEERS, pythons, strict=True)]
    megapixels = options.side**2 / 1e6
    title = f"{options.side} x {options.side} pixels, {source}, {CORES} cores"
    columns = ("", "bands", "s/MP", "times permjax", "limit", "first mask, import included, s")
    table = Table(*columns, title=title)
    best = [min(repeats) / megapixels for _, *repeats in seconds]
    for peer, (first, *_), s_per_mp in zip(PEERS, seconds, best, strict=True):
        ratio = f"{s_per_mp / best[0]:.1f}"
        row = (peer.name, str(peer.bands), f"{s_per_mp:.2f}", ratio, peer.limit, f"{first:.1f}")
        table.add_row(*row)
    Console().print(table)


def environment(peer: Peer, folder: Path) -> str:
    """The Python that has the peer, made if it is not there; the present one for permjax.

    Raises:
        OSError: it cannot be installed.
    """
    if peer.requirement is None:
        return sys.executable
    place = folder / peer.name.replace(" ", "-")
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (place / "ready").exists():
        print(f"installing {peer.requirement} into {place}", file=sys.stderr)
        venv.create(place, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "--quiet", peer.requirement]
        if subprocess.run(pip, check=False).returncode:
            raise OSError(
                f"{peer.requirement} could not be installed into {place}, for the reason that pip "
                "printed above"
            )
        (place / "ready").touch()
    return str(python)


def sentinel2_image(folder: Path, side: int) -> tuple[np.ndarray, str]:
    """Reflectance float32 [side, side, 13], and what it is made of.

    Raises:
        FileNotFoundError: the folder holds no cloudy patch.
    """
    paths = sorted(folder.glob("*_cloudy.tif"))
    if not paths:
        raise FileNotFoundError(f"{folder}: holds no *_cloudy.tif to mask")
    count = -(-side // 256)
    chosen = [paths[i % len(paths)] for i in range(count**2)]
    patches = [patch(path) for path in chosen]
    rows = [np.concatenate(patches[i * count : (i + 1) * count], axis=1) for i in range(count)]
    image = np.concatenate(rows)[:side, :side]
    return np.ascontiguousarray(image), f"{len(set(chosen))} real patches"


def patch(path: Path) -> np.ndarray:
    """Reflectance float32 [256, 256, 13] of a sample."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        file = rasterio.open(path)
    with file:
        return np.moveaxis(file.read() * np.array(file.scales)[:, None, None], 0, -1).astype("f4")


def measure(peer: Peer, python: str, path: Path) -> list[float]:
    """Seconds of the first mask, with import and loading, and of those after it."""
    code = _HARNESS.format(code=peer.code)
    threads = {name: str(CORES) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [python, "-c", code, str(path), str(REPEATS), str(CORES)]
    env = os.environ | threads
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        sys.exit(f"{peer.name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
