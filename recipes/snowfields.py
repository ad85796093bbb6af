"""Images made of single labelled pixels of snow, ice and rock: real spectra in invented places.

Axes: H and W height and width of an image, N bands, P pixels.
"""

from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from permjax.rasters import open_raster

SIDE: Final = 192
PIXELS: Final = 600
"""How many neighbouring pixels of the list an image is made of: about one glacier."""
DOUBTFUL: Final = {"sentinel2_l1c": 2}
"""How many of the last bands are left out, since nobody knows which bands they are."""


def write_snowfields(samples: Path, destination: Path, count: int, seed: int = 0) -> None:
    """Makes `count` clear images of each list of pixels, with label files of code 0.

    Each takes a run of pixels, of all surfaces that it has, in the order of their brightness, and
    lays them out along a smooth random field, so that neighbours look alike; then, pixel by pixel,
    one of similar brightness. Spectra stay as they were measured.

    Args:
        samples: folder of GeoTIFFs of P x 1 pixels with described bands and `_label` files.
        destination: folder to write into.
        count: images a list.
        seed: other seed, other images.
    """
    destination.mkdir(parents=True, exist_ok=True)
    for path in sorted(samples.glob("*.tif")):
        if path.stem.endswith(("_label", "_surface")):
            continue
        with open_raster(path) as file:
            kept = file.count - DOUBTFUL.get(path.stem, 0)
            pixels = file.read()[:kept, :, 0]
            scales, tags = file.scales[:kept], file.tags()
            band_tags = [file.tags(band) for band in range(1, kept + 1)]
        for number in range(count):
            rng = np.random.default_rng([seed, number, *path.stem.encode()])
            image = _laid_out(pixels, rng)
            profile = {"driver": "GTiff", "height": SIDE, "width": SIDE, "compress": "deflate"}
            place = destination / f"{path.stem}_{number}.tif"
            with rasterio.open(place, "w", count=kept, dtype=pixels.dtype, **profile) as file:
                file.write(image)
                file.scales = scales
                # Where all is cloud-free no shade is a cloud's.
                file.update_tags(**tags | {"shadow_labelled": "True"})
                for band, own in enumerate(band_tags, 1):
                    file.update_tags(band, **own)
            label = place.with_name(f"{place.stem}_label.tif")
            with rasterio.open(label, "w", count=1, dtype="uint8", **profile) as file:
                file.write(np.zeros((SIDE, SIDE), np.uint8), 1)


def _laid_out(pixels: NDArray, rng: np.random.Generator) -> NDArray:
    """An image [N, H, W] of some of the pixels [N, P]."""
    start = int(rng.integers(max(pixels.shape[1] - PIXELS, 1)))
    run = pixels[:, start : start + PIXELS]
    run = run[:, np.argsort(run[: min(4, len(run))].mean(0))]
    field = gaussian_filter(rng.standard_normal((SIDE, SIDE)), rng.uniform(6, 30), mode="wrap")
    rank = field.ravel().argsort().argsort().reshape(SIDE, SIDE) / SIDE**2
    jitter = rng.normal(0, rng.uniform(0, 0.08), (SIDE, SIDE))
    index = np.clip((rank + jitter) * run.shape[1], 0, run.shape[1] - 1).astype(np.intp)
    return run[:, index]
