"""What all tests share: property tests without a clock, since the first call compiles."""

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("permjax", deadline=None, max_examples=30, print_blob=True)
settings.load_profile("permjax")


@pytest.fixture
def dn() -> np.ndarray:
    """Digital numbers [N, H, W] of red, near infrared and thermal."""
    rng = np.random.default_rng(0)
    high = np.array([9_000, 9_000, 30_000])[:, None, None]
    return rng.integers(high // 2, high, (3, 12, 10)).astype(np.uint16)
