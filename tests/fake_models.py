"""Small models to mask with, and what they must give."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from permjax.bands import describe_bands
from permjax.models import CloudMasker, ModelConfig

# Uneven, so that no digital number lies halfway between two classes.
CENTRES = (0.1, 0.40003, 0.6001, 0.80007)
BANDS = {"wavelength_nm": [665, 833], "bandwidth_nm": [31, 106]}
DESCRIBED = describe_bands([665, 833], [31, 106])


def brightness(image, bands, valid):
    """A model of single pixels: the brighter the valid bands, the higher the class.

    So sure that classes together never outweigh the nearest one.
    """
    there = valid[:, None, None, :] & jnp.isfinite(image)
    reflected = there & (bands.kind < 2)[:, None, None, :]
    mean = jnp.where(reflected, image, 0).sum(-1) / jnp.maximum(reflected.sum(-1), 1)
    return -2000 * (mean[..., None] - jnp.array(CENTRES)) ** 2


def classes_by_hand(image: np.ndarray) -> np.ndarray:
    distance = np.abs(image.mean(-1)[..., None] - CENTRES)
    return distance.argmin(-1)


def cloud_masker(features=(8, 8, 8), seed=0) -> CloudMasker:
    """A model that uses all the context it can, which a new one does not: its ups are zero."""
    model = CloudMasker(ModelConfig(features=features, descriptor_size=6), rngs=nnx.Rngs(seed))
    for up in model.ups:
        key = jax.random.key(seed)
        up.kernel[...] = jax.random.normal(key, up.kernel.shape) * 0.5
    return model
