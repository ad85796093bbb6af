"""The loss on sets of classes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from hypothesis import given
from hypothesis import strategies as st

from permjax import classes
from permjax.losses import change_loss, label_loss

LOGITS = jnp.asarray([0.3, -1.2, 2.0, 0.5])


def test_one_class_is_the_cross_entropy():
    logits = jax.random.normal(jax.random.key(0), (50, 4))
    codes = jax.random.randint(jax.random.key(1), (50,), 0, 4)
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, codes)
    np.testing.assert_allclose(label_loss(logits, jnp.uint8(1) << codes), expected, rtol=1e-5)


@given(st.integers(1, 15))
def test_a_set_is_the_log_of_its_summed_probability(label):
    probabilities = np.asarray(jax.nn.softmax(LOGITS), np.float64)
    allowed = sum(p for k, p in enumerate(probabilities) if label >> k & 1)
    loss = label_loss(LOGITS, jnp.uint8(label))
    np.testing.assert_allclose(loss, -np.log(allowed), rtol=1e-5, atol=1e-6)


def test_every_class_allowed_is_no_loss():
    np.testing.assert_allclose(label_loss(LOGITS, jnp.uint8(15)), 0, atol=1e-6)


def test_unlabelled_pixels_have_no_loss_and_no_gradient():
    gradient = jax.grad(lambda x: label_loss(x, jnp.uint8(classes.UNLABELLED)))(LOGITS * 100)
    assert not gradient.any()
    assert label_loss(LOGITS, jnp.uint8(classes.UNLABELLED)) == 0


def test_extreme_logits_stay_finite():
    value, gradient = jax.value_and_grad(lambda x: label_loss(x, jnp.uint8(classes.CLOUD)))(
        LOGITS * 1e4
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_no_change_of_the_answers_is_no_loss_and_another_is_their_divergence():
    """By hand: from (3/4, 1/4) to (1/2, 1/2) it is 3/4 log(3/2) + 1/4 log(1/2)."""
    three_to_one = jnp.log(jnp.asarray([3.0, 1.0]))
    np.testing.assert_allclose(change_loss(three_to_one, three_to_one + 5), 0, atol=1e-6)
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    np.testing.assert_allclose(change_loss(jnp.zeros(2), three_to_one), expected, rtol=1e-5)
    assert change_loss(jnp.asarray([1e4, 0.0]), jnp.asarray([-1e4, 0.0])) == 1e4
