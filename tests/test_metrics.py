"""Scores against figures worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permjax import classes
from permjax.metrics import Counts, MaskCounts, count_mask


def test_scores_worked_out_by_hand():
    scores = Counts(tp=30, fp=10, fn=20, tn=40)
    assert scores.accuracy == pytest.approx(70 / 100)
    assert scores.precision == pytest.approx(30 / 40)
    assert scores.recall == pytest.approx(30 / 50)
    assert scores.f1 == pytest.approx(60 / 90)
    assert scores.iou == pytest.approx(30 / 60)


def test_every_pair_of_code_and_label():
    """Predicted clear, thick, thin, shadow (rows) against each label (columns)."""
    labels = [
        classes.CLEAR, classes.THICK_CLOUD, classes.THIN_CLOUD, classes.CLOUD_SHADOW,
        classes.CLOUD, classes.CLEAR_OR_SHADOW, classes.CLEAR | classes.THIN_CLOUD,
        classes.UNLABELLED,
    ]  # fmt: skip
    label, predicted = np.meshgrid(np.array(labels, np.uint8), np.arange(4, dtype=np.uint8))
    counts = count_mask(predicted, label)
    # Sure of cloud: thick, thin, cloud. Sure of no cloud: clear, shadow, clear or shadow.
    assert counts.cloud == Counts(tp=6, fp=6, fn=6, tn=6)
    # Sure of shadow: shadow. Sure of none: clear, thick, thin, cloud, clear or thin.
    assert counts.shadow == Counts(tp=1, fp=5, fn=3, tn=15)


def test_pixels_without_data_are_not_counted():
    predicted = np.full(4, classes.NO_DATA, np.uint8)
    assert count_mask(predicted, np.full(4, classes.CLEAR, np.uint8)) == MaskCounts()


def test_nothing_to_score_is_nan_and_not_zero():
    assert all(math.isnan(score) for score in MaskCounts().scores().values())
    assert math.isnan(Counts(tn=9).f1)
    without_shadow = MaskCounts(cloud=Counts(tp=1), shadow=Counts(fp=3, tn=5))
    assert math.isnan(without_shadow.scores()["shadow_f1"])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 15)), min_size=2, max_size=30))
def test_counts_of_parts_add_up_to_the_whole(pixels):
    predicted, label = np.array(pixels, np.uint8).T
    parts = count_mask(predicted[:1], label[:1]) + count_mask(predicted[1:], label[1:])
    assert parts == count_mask(predicted, label)
