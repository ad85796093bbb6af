"""The loss on labels that are sets of classes."""

import jax
import jax.numpy as jnp

from permjax.classes import CLASS_COUNT, UNLABELLED
from permjax.layers import Array


def allowed_classes(label: Array) -> jax.Array:
    """Label bits as flags a class: uint8 `[...]` to bool `[..., C]`."""
    return (label[..., None] >> jnp.arange(CLASS_COUNT, dtype=label.dtype)) & 1 == 1


def label_loss(logits: jax.Array, label: Array) -> jax.Array:
    """Negative logarithm of the summed probability of the allowed classes, for each pixel.

    With the softmax probabilities `p_k` of a pixel and its set `S` of allowed classes the loss is
    `-log sum_{k in S} p_k`: the cross-entropy where S is one class, 0 where S is every class. An
    unlabelled pixel (S empty) has loss 0, and its logits get no gradient.

    Args:
        logits: `[..., C]`.
        label: uint8 bits `[...]`.

    Returns:
        `[...]`.
    """
    # A large negative number and not -inf, which would make the gradient of unlabelled pixels NaN.
    allowed = jnp.where(allowed_classes(label), logits, -1e9)
    loss = jax.nn.logsumexp(logits, axis=-1) - jax.nn.logsumexp(allowed, axis=-1)
    return jnp.where(label == UNLABELLED, 0, loss)
