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


def change_loss(logits: jax.Array, before: jax.Array) -> jax.Array:
    """How far each pixel's answer went from an earlier one: `sum_k q_k log(q_k / p_k)`, at least 0.

    The Kullback-Leibler divergence from the earlier probabilities `q` to those of now, `p`: the
    distillation of Li and Hoiem 2017, "Learning without Forgetting", at temperature 1.

    Args:
        logits: of now, `[..., C]`.
        before: the earlier ones, `[..., C]`.

    Returns:
        `[...]`.
    """
    log_p, log_q = jax.nn.log_softmax(logits), jax.nn.log_softmax(before)
    return jnp.sum(jnp.exp(log_q) * (log_q - log_p), axis=-1)
