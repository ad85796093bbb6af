"""A model as one compiled program from a window's pixels to their classes, kept between runs.

Axes: B batch, h and w height and width of a window, N bands, C classes.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.experimental.compilation_cache import compilation_cache

from permjax.bands import BandDescription, Kind
from permjax.classes import NO_DATA, decide
from permjax.plausibility import LEAST_REFLECTANCE

Model = Callable[[Any, BandDescription, Any], Any]


def compile_model(model: Model) -> Callable[[Any, BandDescription], Any]:
    """Of an image [h, w, N]: its probabilities [h, w, C], classes [h, w] and valid bands [N].

    One compiled function, the model's parameters passed in.
    """
    graph, state = nnx.split(model) if isinstance(model, nnx.Module) else (None, None)

    @jax.jit
    def compute(state: Any, image: jax.Array, bands: BandDescription) -> Any:
        masker = model if graph is None else nnx.merge(graph, state)
        # No ground and no cloud is at 0 K.
        thermal = bands.kind == Kind.BRIGHTNESS_TEMPERATURE
        blank_below = jnp.where(thermal, 0, LEAST_REFLECTANCE)
        there = jnp.isfinite(image) & (image > blank_below)
        valid = (there & (image != 0)).any((0, 1))
        data = (there & valid).any(-1)
        image = jax.lax.cond((there | ~valid).all(), lambda x, _: x, fill_gaps, image, there)
        batch = jax.tree.map(lambda x: x[None], (image, bands, valid))
        probabilities = jax.nn.softmax(masker(*batch)[0], axis=-1)
        classes = jnp.where(data, decide(probabilities), NO_DATA).astype(jnp.uint8)
        return jnp.where(data[..., None], probabilities, jnp.nan), classes, valid

    def computed(image: Any, bands: BandDescription) -> Any:
        keep_compiled()
        return compute(state, image, bands)

    return computed


def fill_gaps(image: jax.Array, there: jax.Array) -> jax.Array:
    """An image [h, w, N] with each gap filled by the mean of what is near, band by band.

    The mean of the least square of 2 x 2, 4 x 4, ... pixels that holds any data (Gortler et al.
    1996, "The Lumigraph", push-pull); so an even image stays even. Where halving ends, the mean of
    all; 0 in a band without data. What is there stays as it is.

    Args:
        image: [h, w, N].
        there: bool [h, w, N], where the image holds data.
    """
    return _pulled(jnp.where(there, image, 0), there.astype(image.dtype))


def _pulled(sums: jax.Array, counts: jax.Array) -> jax.Array:
    means = sums / jnp.maximum(counts, 1)
    height, width, bands = sums.shape
    if height % 2 or width % 2:
        wider = sums.sum((0, 1)) / jnp.maximum(counts.sum((0, 1)), 1)
    else:
        halves = (height // 2, 2, width // 2, 2, bands)
        coarse = _pulled(sums.reshape(halves).sum((1, 3)), counts.reshape(halves).sum((1, 3)))
        wider = jnp.repeat(jnp.repeat(coarse, 2, axis=0), 2, axis=1)
    return jnp.where(counts > 0, means, wider)


def keep_compiled() -> None:
    """Has JAX keep compiled programs, if nobody has told it where to."""
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    home = Path.home()
    folder = {"darwin": home / "Library/Caches", "win32": home / "AppData/Local"}.get(
        sys.platform, Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    )
    jax.config.update("jax_compilation_cache_dir", str(folder / "permjax"))
    # What was compiled before may have settled that there is no such folder.
    compilation_cache.reset_cache()
