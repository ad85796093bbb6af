"""What models see in batches of records, and how far it is right.

Axes: B batch, H height, W width, N bands, C classes.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from permjax.classes import decide
from permjax.data import Batch
from permjax.metrics import Counts, count_mask
from permjax.models import CloudMasker

See = Callable[[Batch], NDArray[np.float32]]
"""A model in use: a batch to the probabilities of each class, float32 `[B, H, W, C]`."""


def see_with(model: CloudMasker) -> See:
    """A model as a function; models of one size share their compiled programs."""
    graphdef, params = nnx.split(model)
    return lambda batch: np.asarray(
        _probabilities(graphdef, params, batch._replace(scene_id=(), label=()))
    )


@partial(jax.jit, static_argnums=0)
def _probabilities(
    graphdef: nnx.GraphDef[CloudMasker], params: nnx.State, batch: Batch
) -> jax.Array:
    logits = nnx.merge(graphdef, params)(batch.image, batch.bands, batch.valid)
    return jax.nn.softmax(logits, axis=-1)


def count_clouds(see: See, batches: Sequence[Batch]) -> Counts:
    """The counts of cloud, thick or thin, over all pixels of the batches."""
    counts = (count_mask(decide(see(b)), b.label).cloud for b in batches)
    return sum(counts, start=Counts())


def with_bands(batch: Batch, kept: NDArray[np.bool_]) -> Batch:
    """The batch with only some of its bands valid: bool `[N]` or `[B, N]`."""
    return batch._replace(valid=batch.valid & kept)
