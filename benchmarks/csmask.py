"""Probabilities of ukis-csmask 1.0.0, run in an environment of its own: a peer, and a teacher.

Axes: H and W height and width of an image, N bands; its classes are clear, cloud and shadow.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import ENVIRONMENTS, PEERS, environment
from permjax.bands import BandDescription, Kind

BANDS: Final = {
    "blue": 485.0,
    "green": 560.0,
    "red": 660.0,
    "nir": 850.0,
    "swir16": 1610.0,
    "swir22": 2200.0,
}
"""What it calls its bands, and their centres in nm; without both of the last it takes four."""

FARTHEST: Final = 0.06
"""A band serves for one of these if its centre is at most this part of it away."""

LEAST_SIDE: Final = 256
"""Smaller images are mirrored up to this size, that of its tiles."""

_WORKER = """
import sys, warnings
import numpy as np
import ukis_csmask.mask as mask

untile, kept = mask.untile_array, []
def keep(*args, **names):
    kept.append(untile(*args, **names))
    return kept[-1]
mask.untile_array = keep
with np.load(sys.argv[1]) as file:
    images = [file[f"image_{i}"] for i in range(len(file["names"]))]
    names, levels = file["names"], file["levels"]
for image, name, level in zip(images, names, levels):
    mask.CSmask(image, str(name).split(","), str(level), providers=["CPUExecutionProvider"])
np.savez(sys.argv[2], *kept)
"""


class Image(NamedTuple):
    """An image [H, W, N] of reflectance and the description of its bands."""

    values: NDArray[np.float32]
    bands: BandDescription


def probabilities(
    images: Sequence[Image], environments: Path = ENVIRONMENTS
) -> list[NDArray[np.float32] | None]:
    """Of each image [H, W, 3], for clear, cloud and shadow; None without its four first bands.

    Args:
        images: each top-of-atmosphere or surface reflectance, which choose its model.
        environments: where the environments of peers live; made if it is not there.
    """
    taken = [_named_bands(image.bands) for image in images]
    python = environment(next(peer for peer in PEERS if peer.name.startswith("ukis")), environments)
    jobs = [(image, named) for image, named in zip(images, taken, strict=True) if named]
    if not jobs:
        return [None] * len(images)
    surface = [(image.bands.kind == Kind.SURFACE_REFLECTANCE).any() for image, _ in jobs]
    arrays = {f"image_{i}": _taken(*job) for i, job in enumerate(jobs)}
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "images.npz"), Path(folder, "probabilities.npz")
        names = [",".join(named) for _, named in jobs]
        levels = ["l2a" if s else "l1c" for s in surface]
        np.savez(given, allow_pickle=False, names=names, levels=levels, **arrays)
        command = [python, "-c", _WORKER, str(given), str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"ukis-csmask failed:\n{done.stderr}")
        with np.load(made) as file:
            results = iter([file[f"arr_{i}"] for i in range(len(jobs))])
    return [
        next(results)[: image.values.shape[0], : image.values.shape[1]] if named else None
        for image, named in zip(images, taken, strict=True)
    ]


def _named_bands(bands: BandDescription) -> dict[str, int]:
    """The band for each of its names: six, four, or none if blue, green, red or nir is missing."""
    reflected = np.asarray(bands.kind) != Kind.BRIGHTNESS_TEMPERATURE
    named = {}
    for name, centre in BANDS.items():
        away = np.where(reflected, np.abs(bands.wavelength_nm / centre - 1), np.inf)
        if (nearest := int(away.argmin())) not in named.values() and away[nearest] <= FARTHEST:
            named[name] = nearest
    four = list(BANDS)[:4]
    if any(name not in named for name in four):
        return {}
    return named if len(named) == len(BANDS) else {name: named[name] for name in four}


def _taken(image: Image, named: dict[str, int]) -> NDArray[np.float32]:
    values = np.nan_to_num(image.values[..., list(named.values())])
    missing = [(0, max(LEAST_SIDE - side, 0)) for side in values.shape[:2]]
    return np.ascontiguousarray(np.pad(values, [*missing, (0, 0)], mode="symmetric"))
