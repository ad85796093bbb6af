import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permjax.resampling import resample, taps

steps = st.sampled_from([0.25, 1 / 3, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 6.0])
lengths = st.integers(1, 20)


def all_of(image: np.ndarray, missing: np.ndarray, step: float) -> np.ndarray:
    axes = [taps(slice(0, max(1, int(np.ceil(n / step - 1e-6)))), step, n) for n in image.shape]
    spans = tuple(axis.span for axis in axes)
    return resample(image[spans], missing[spans], *axes)


@given(step=steps, height=lengths, width=lengths, seed=st.integers(0, 99))
def test_values_stay_within_those_that_were_read(step, height, width, seed):
    image = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    result = all_of(image, np.zeros(image.shape, bool), step)
    assert image.min() - 1e-6 <= result.min()
    assert result.max() <= image.max() + 1e-6


@given(step=steps, height=lengths, width=lengths, seed=st.integers(0, 99))
def test_what_missing_pixels_hold_changes_nothing(step, height, width, seed):
    rng = np.random.default_rng(seed)
    image = rng.random((height, width)).astype(np.float32)
    missing = rng.random(image.shape) < 0.4
    wild = np.where(missing, np.float32(np.nan), image)
    np.testing.assert_array_equal(all_of(image, missing, step), all_of(wild, missing, step))


@given(step=steps, height=lengths, width=lengths, seed=st.integers(0, 99))
def test_where_data_are_alike_missing_pixels_leave_them_so(step, height, width, seed):
    missing = np.random.default_rng(seed).random((height, width)) < 0.4
    result = all_of(np.where(missing, 99, 7), missing, step)
    np.testing.assert_allclose(result[np.isfinite(result)], 7, rtol=1e-5)


@given(step=steps, length=st.integers(2, 30), data=st.data())
def test_a_part_needs_no_more_than_its_span_and_is_a_part_of_the_whole(step, length, data):
    image = np.random.default_rng(length).random((length, 3)).astype(np.float32)
    size = max(1, int(np.ceil(length / step - 1e-6)))
    start = data.draw(st.integers(0, size - 1))
    part = slice(start, data.draw(st.integers(start + 1, size)))
    missing = np.zeros(image.shape, bool)
    columns = taps(slice(0, 3), 1.0, 3)
    rows = taps(part, step, length)
    whole = resample(image, missing, taps(slice(0, size), step, length), columns)
    result = resample(image[rows.span], missing[rows.span], rows, columns)
    np.testing.assert_array_equal(result, whole[part])
    assert rows.span.stop - rows.span.start <= (part.stop - part.start) * step + 3


def test_averages_weigh_pixels_by_what_is_covered():
    """Pixels of 10 m on a grid of 15 m: the second is halved between the first two."""
    image = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    result = all_of(np.repeat(image, 6, axis=0), np.zeros((6, 6), bool), 1.5)
    expected = [(1 + 2 / 2) / 1.5, (2 / 2 + 3) / 1.5, (4 + 5 / 2) / 1.5, (5 / 2 + 6) / 1.5]
    np.testing.assert_allclose(result[0], expected, rtol=1e-6)


def test_an_average_is_that_of_the_pixels_with_data():
    image = np.array([[1.0, 5.0, 0.0, 0.0]])
    missing = np.array([[False, True, True, True]])
    axes = taps(slice(0, 1), 1.0, 1), taps(slice(0, 2), 2.0, 4)
    result = resample(image, missing, *axes)
    assert result[0, 0] == 1
    assert np.isnan(result[0, 1])


def test_an_interpolated_value_has_data_where_the_pixel_below_has():
    image = np.array([[1.0, 0.0]])
    missing = np.array([[False, True]])
    result = resample(image, missing, taps(slice(0, 1), 1.0, 1), taps(slice(0, 4), 0.5, 2))
    np.testing.assert_array_equal(result, [[1, 1, np.nan, np.nan]])


@pytest.mark.parametrize("step", [1 / 3, 0.5])
def test_interpolation_keeps_a_slope_between_centres(step):
    image = np.tile(np.arange(6, dtype=np.float32), (6, 1))
    result = all_of(image, np.zeros(image.shape, bool), step)
    inside = result[0, int(1 / step) : -int(1 / step)]
    np.testing.assert_allclose(np.diff(inside), step, rtol=1e-4)
