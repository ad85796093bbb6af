"""The loss on labels that are sets of classes."""

import jax
import jax.numpy as jnp

from permjax.classes import CLASS_COUNT


def allowed_classes(label: jax.Array) -> jax.Array:
    """Label bits as flags a class: uint8 `[...]` to bool `[..., C]`."""
    return (label[..., None] >> jnp.arange(CLASS_COUNT, dtype=label.dtype)) & 1 == 1


def label_loss(logits: jax.Array, label: jax.Array) -> jax.Array:
    """Negative logarithm of the summed probability of the allowed classes, mean over pixels.

    With the softmax probabilities `p_k` of a pixel and its set `S` of allowed classes the loss is
    `-log sum_{k in S} p_k`: the cross-entropy where S is one class, 0 where S is every class.
    Unlabelled pixels (S empty) have no weight; without a labelled pixel the loss is 0.

    Args:
        logits: `[..., C]`.
        label: uint8 bits `[...]`.

    Returns:
        The mean over labelled pixels, a scalar.
    """
    # A large negative number and not -inf, which would make the gradient of unlabelled pixels NaN.
    allowed = jnp.where(allowed_classes(label), logits, -1e9)
    loss = jax.nn.logsumexp(logits, axis=-1) - jax.nn.logsumexp(allowed, axis=-1)
    labelled = label != 0
    return jnp.sum(jnp.where(labelled, loss, 0)) / jnp.maximum(jnp.sum(labelled), 1)
