"""Scores of windows and of the three ways, against numbers worked by hand and laws."""

import numpy as np
import pytest

from permjax import classes
from permjax.classes import decide
from permjax.experiments import three_ways, windows
from permjax.experiments.predicting import see_with
from permjax.experiments.windows import measure_windows, smooth_curve, window_curves, windows_of
from permjax.metrics import count_mask
from tests.fake_batches import all_clear, batch_of
from tests.fake_models import cloud_masker


def test_counts_of_a_window_are_those_of_its_pixels(monkeypatch):
    """Windows of 20 in images of 32: four each, smaller at the edges; they add up to the whole."""
    monkeypatch.setattr(windows, "SIZE", 20)
    batch, see = batch_of(1, 2), see_with(cloud_masker())
    measured = measure_windows({"it": [see]}, [("set", batch)])
    codes = decide(see(batch))
    for place, counts in zip(measured["places"], measured["counts"]["it"][0], strict=True):
        b = batch.scene_id.tolist().index(place["scene_id"])
        rows, columns = (slice(place[k], place[k] + 20) for k in ("row", "column"))
        cloud = count_mask(codes[b, rows, columns], batch.label[b, rows, columns]).cloud
        assert counts == [cloud.tp, cloud.fp, cloud.fn, cloud.tn]
    assert len(measured["places"]) == 8
    whole = count_mask(codes, batch.label).cloud
    assert np.sum(measured["counts"]["it"][0], axis=0).tolist() == [
        whole.tp, whole.fp, whole.fn, whole.tn,
    ]  # fmt: skip


def test_windows_without_labels_are_left_out():
    batch = batch_of(1, 2)
    batch.label[1] = classes.UNLABELLED
    assert len(list(windows_of(batch))) == 2
    assert len(measure_windows({"it": [all_clear]}, [("set", batch)])["places"]) == 1


def test_scores_of_windows_and_their_differences():
    """Seeds' counts add first: (1 + 3) of 8 right is an accuracy of 0.5; both is better by 0.25."""
    measured = {
        "places": [{"scene_id": "a"}, {"scene_id": "b"}],
        "counts": {
            "sentinel": [[[1, 0, 3, 0], [0, 0, 0, 4]], [[3, 0, 1, 0], [0, 0, 0, 4]]],
            "both": [[[3, 0, 1, 0], [0, 0, 0, 4]], [[3, 0, 1, 0], [0, 0, 0, 4]]],
        },
    }
    curves = window_curves(measured, reference="sentinel")
    assert curves["cover"] == [1, 0]
    assert curves["ways"]["sentinel"]["accuracy"]["points"] == [0.5, 1]
    assert curves["ways"]["both"]["recall"]["points"] == [0.75, None]
    assert curves["differences"]["accuracy"]["points"] == [0.25, 0]
    assert curves["differences"]["recall"]["points"] == [0.25, None]


def curves_of(*counts: list[int]) -> dict:
    """Curves of one model, of a window a scene: true and false positives and negatives."""
    places = [{"scene_id": str(scene)} for scene in range(len(counts))]
    return window_curves({"places": places, "counts": {"it": [counts]}})


def test_false_pixels_in_clear_windows_decide_no_f1():
    """3 % cloud, or none: F1 and precision begin at the windows of 50 and 80 %."""
    counts = [0, 1, 0, 99], [0, 0, 0, 100], [1, 5, 2, 92], [40, 0, 10, 50], [60, 0, 20, 20]
    curves = curves_of(*counts)
    for metric in ("f1", "precision"):
        of = curves["ways"]["it"][metric]
        assert of["points"][:3] == [None] * 3
        assert None not in of["points"][3:]
        starts = [g for g, fit in zip(curves["grid"], of["fit"], strict=True) if fit is not None]
        assert starts[0] == pytest.approx(0.5)
    assert curves["ways"]["it"]["accuracy"]["points"] == [0.99, 1, 0.93, 0.9, 0.8]
    assert curves["ways"]["it"]["recall"]["points"][2] == pytest.approx(1 / 3)


def test_windows_with_few_labelled_pixels_do_not_count():
    """Of windows with 100, 10 and 9 labelled pixels the last has no score."""
    points = curves_of([50, 0, 0, 50], [5, 0, 0, 5], [5, 0, 0, 4])["ways"]["it"]
    for metric in ("accuracy", "f1", "precision", "recall"):
        assert points[metric]["points"] == [1, 1, None]


def test_the_curve_of_a_constant_is_the_constant():
    x, scenes = np.linspace(0, 1, 7), np.array(list("aabbccd"))
    curve = smooth_curve(x, np.full(7, 0.25), scenes)
    for values in curve:
        np.testing.assert_allclose(values, 0.25)


def test_the_curve_follows_the_scores_and_its_band_their_scenes():
    """About a line in the middle; twins of one scene make the band no narrower."""
    x = np.linspace(0, 1, 201)
    noise = np.random.default_rng(0).normal(0, 0.1, 201)
    curve = smooth_curve(x, x + noise, np.arange(201))
    inside = (windows.GRID > 0.25) & (windows.GRID < 0.75)
    np.testing.assert_allclose(curve.fit[inside], windows.GRID[inside], atol=0.05)
    assert (curve.low < curve.fit).all()
    assert (curve.fit < curve.high).all()
    twice = smooth_curve(*(np.tile(values, 2) for values in (x, x + noise, np.arange(201))))
    np.testing.assert_allclose(twice.high - twice.low, curve.high - curve.low)


def test_there_is_no_curve_where_there_is_no_window():
    """Covers from 0.3 to 0.6 have a curve from there to there; one scene has no band."""
    x = np.array([0.3, 0.45, 0.6])
    curve = smooth_curve(x, x, np.array(["a", "b", "b"]))
    reached = (windows.GRID >= 0.3) & (windows.GRID <= 0.6)
    for values in curve:
        np.testing.assert_array_equal(np.isfinite(values), reached)
    assert np.isnan(smooth_curve(x, x, np.array(["a"] * 3)).low).all()


def test_a_score_that_is_nowhere_defined_has_no_curve():
    assert np.isnan(smooth_curve(np.ones(2), np.full(2, np.nan), np.array(["a", "b"])).fit).all()


def test_the_table_has_mean_and_spread_over_seeds():
    """Recall 1/4 and 3/4: 0.5 in the mean, with a standard deviation of 0.25 sqrt(2)."""
    seeds = [[1, 0, 1, 0], [0, 0, 2, 0]], [[2, 0, 0, 0], [1, 0, 1, 0]]
    scores = three_ways.score_ways({"counts": {"both": seeds}})
    assert scores["both"]["recall"]["seeds"] == [0.25, 0.75]
    assert scores["both"]["recall"]["mean"] == 0.5
    assert scores["both"]["recall"]["spread"] == pytest.approx(0.25 * np.sqrt(2))
    assert scores["both"]["precision"]["spread"] == 0
    assert three_ways.mean_and_spread([0.5])["spread"] is None


def test_the_talks_figures_agree_with_one_another():
    """F1 is the harmonic mean of precision and recall, to the digits that the talk gives."""
    for row in three_ways.TALK.values():
        f1 = 2 / (1 / row["precision"] + 1 / row["recall"])
        assert f1 == pytest.approx(row["f1"], abs=1.1e-3)


@pytest.mark.parametrize(
    ("landsat", "both", "as_in_talk"),
    [
        ([0.50, 0.51, 0.52], [0.90, 0.91, 0.92], "yes"),
        ([0.50, 0.51, 0.52], [0.70, 0.71, 0.72], "no"),
        ([0.90, 0.91, 0.92], [0.95, 0.96, 0.97], "no"),
        # 0.01 in the mean, more than one standard deviation, and better in every seed.
        ([0.50, 0.51, 0.52], [0.801, 0.810, 0.819], "undecided"),
        ([0.70, 0.80, 0.83], [0.90, 0.91, 0.92], "undecided"),
        ([0.50], [0.90], "undecided"),
        ([0.50, 0.51], [None, None], "undecided"),
    ],
)
def test_whether_the_order_came_out_is_told_as_surely_as_seeds_allow(landsat, both, as_in_talk):
    f1 = {"landsat": landsat, "sentinel": [0.8] * len(landsat), "both": both}
    scores = {way: {"f1": {"seeds": seeds}} for way, seeds in f1.items()}
    order = three_ways.compare_order(scores, ["landsat", "sentinel", "both"])
    assert order["as_in_talk"] == as_in_talk


def test_a_gain_has_the_interval_of_student():
    """Gains of 0.1, 0.2, 0.3: 0.2 -+ 4.303 x 0.1 / sqrt(3); 4.303 as tables of t have it."""
    f1 = {"worse": [0.5, 0.5, 0.5], "better": [0.6, 0.7, 0.8]}
    scores = {way: {"f1": {"seeds": seeds}} for way, seeds in f1.items()}
    step = three_ways.compare_order(scores, ["worse", "better"])["steps"][0]
    assert step["mean"] == pytest.approx(0.2)
    assert [step["low"], step["high"]] == pytest.approx([-0.0484, 0.4484], abs=1e-4)
    assert step["holds"] == "undecided"
    assert (step["agree"], step["of"]) == (3, 3)
