"""What is said of the order of the three models, against what their intervals hold."""

import re
from html import unescape
from pathlib import Path

import pytest

from permjax.experiments.html_report import Report
from permjax.experiments.three_ways import compare_order
from permjax.experiments.verdict import say_order, say_shortly, say_why


def compared(directory: Path, landsat: float, both: float, noise: float = 0.01) -> Report:
    """A report of two seeds whose models of sentinel have an F1 of 0.8, the others with noise."""
    f1 = {"landsat": landsat, "sentinel": 0.8, "both": both}
    scores = {
        way: {"f1": {"seeds": [mean - noise * (mean != 0.8), mean + noise * (mean != 0.8)]}}
        for way, mean in f1.items()
    }
    results = {
        "settings": {"train_families": ["landsat", "sentinel"], "test": "sentinel"},
        "order": compare_order(scores, list(f1)),
        "data": {"share_of_tested": 0.5, "examples": 9600},
    }
    return Report(results, directory)


def in_words(text: str) -> str:
    return unescape(re.sub("<.*?>", "", text))


def test_an_order_is_told_as_surely_as_its_intervals(tmp_path):
    """Student's 12.706 of two seeds: noise of 0.01 leaves gains of less than 0.127 undecided."""
    surely = compared(tmp_path, 0.5, 0.95)
    assert "The order of the three models on F1 is that of the talk" in in_words(say_order(surely))
    assert "(95 % interval +2.3 to +27.7)" in in_words(say_order(surely))
    assert "other seeds, not of other scenes" in in_words(say_order(surely))
    fails = compared(tmp_path, 0.5, 0.65)
    assert "The order of the three models on F1 is not that" in in_words(say_order(fails))
    unsure = compared(tmp_path, 0.5, 0.85)
    assert "these runs do not decide" in say_shortly(unsure)
    assert "The interval holds zero" in say_order(unsure)


@pytest.mark.parametrize(
    ("landsat", "both", "own", "more"),
    [
        (0.5, 0.95, "yes", "yes"),
        (0.5, 0.65, "yes", "no"),
        (0.5, 0.85, "yes", "undecided"),
        (0.95, 0.99, "no", "yes"),
        (0.95, 0.5, "no", "no"),
        (0.75, 0.95, "undecided", "yes"),
    ],
)
def test_each_step_has_its_own_reason(landsat, both, own, more, tmp_path):
    """A first step that fails does not say that the second one did, nor the other way round."""
    why = in_words(say_why(compared(tmp_path, landsat, both, noise=0.005)))
    made_up = {
        "yes": "the scenes of landsat made up for that",
        "no": "the scenes of landsat did not make up for that",
        "undecided": "Whether the scenes of landsat made up for that these runs do not decide",
    }
    assert made_up[more] in why
    assert ("did not make up" in why) == (more == "no")
    assert ("did better on sentinel than" in why) == (own == "no")
    assert ("better learnt from its own scenes" in why) == (own == "undecided")


@pytest.mark.parametrize(
    ("families", "test", "is_it"),
    [
        (["landsat", "sentinel"], "sentinel", True),
        (["sentinel", "landsat"], "sentinel", True),
        (["landsat", "sentinel"], "landsat", False),
        (["landsat", "modis"], "modis", False),
    ],
)
def test_an_order_of_other_families_is_not_said_to_be_the_talks(families, test, is_it, tmp_path):
    report = compared(tmp_path, 0.5, 0.95)
    report.results["settings"] = {"train_families": families, "test": test}
    for text in map(in_words, (say_order(report), say_shortly(report))):
        assert ("is that of the talk" in text) == is_it
        analogous = "is the analogue of the talk's (other family < tested family < both)" in text
        assert analogous != is_it
