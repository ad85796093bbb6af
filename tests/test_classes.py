"""What a mask says where probabilities speak for several classes."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permjax.classes import CloudClass, decide

CLEAR, THICK, THIN, SHADOW = CloudClass


@pytest.mark.parametrize(
    ("probabilities", "code"),
    [
        ([0.40, 0.30, 0.30, 0.00], THICK),  # cloud, though clear is the most probable class
        ([0.40, 0.20, 0.30, 0.10], THIN),
        ([0.50, 0.20, 0.20, 0.10], CLEAR),
        ([0.30, 0.10, 0.10, 0.50], SHADOW),
        ([0.45, 0.00, 0.10, 0.45], CLEAR),
        ([1.00, 0.00, 0.00, 0.00], CLEAR),
        ([0.00, 1.00, 0.00, 0.00], THICK),
        ([0.00, 0.00, 1.00, 0.00], THIN),
        ([0.00, 0.00, 0.00, 1.00], SHADOW),
    ],
)
def test_cloud_of_doubtful_thickness_is_cloud(probabilities, code):
    assert decide(np.array([probabilities], np.float32)).tolist() == [code]


@given(st.integers(0, 2**32 - 1))
def test_cloud_is_where_it_is_more_probable_than_clear_and_than_shadow(seed):
    p = np.random.default_rng(seed).dirichlet(np.ones(4), (3, 5)).astype(np.float32)
    codes = decide(p)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, np.asarray(decide(jnp.asarray(p))))
    cloud = np.isin(codes, (THICK, THIN))
    likely = p[..., THICK] + p[..., THIN]
    np.testing.assert_array_equal(cloud, likely > np.maximum(p[..., CLEAR], p[..., SHADOW]))
