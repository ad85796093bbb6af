"""What the paper says of the order of the three models: whether it came out, and how surely."""

from html import escape
from typing import Final

from permjax.experiments.html_report import Report
from permjax.experiments.settings import BOTH
from permjax.experiments.three_ways import TALK

SHORTLY: Final = {
    "yes": "The order is {}.",
    "no": "The order is not {}.",
    "undecided": "Whether the order is {}, these runs do not decide.",
}
VERDICTS: Final = {
    "yes": "The order of the three models on F1 is {}: {}.",
    "no": "The order of the three models on F1 is <b>not</b> {}, {}.",
    "undecided": "Whether the order of the three models on F1 is {}, {}, these runs do <b>not "
    "decide</b>.",
}
OWN_SCENES: Final = {
    "yes": "",
    "no": "The model of {other} did better on {tested} than the model of {tested} itself: the "
    "scenes of {other} may be more, more varied, or learnt in fewer steps. ",
    "undecided": "Whether {tested} is better learnt from its own scenes than from those of {other} "
    "these runs do not decide. ",
}
"""Of the first step, from the other family to the one tested on."""
MORE_SCENES: Final = {
    "yes": "In these runs the scenes of {other} made up for that.",
    "no": "In these runs the scenes of {other} did not make up for that. They can where a family's "
    "own labelled scenes are few or alike, and where training lasts until they are learnt; whether "
    "it was the scenes or the steps, another number of --scenes or of --steps would tell.",
    "undecided": "Whether the scenes of {other} made up for that these runs do not decide; more "
    "seeds may.",
}
"""Of the second step, from the family tested on to both."""


def is_of_the_talk(report: Report) -> bool:
    """Whether families and test are the talk's: Landsat and Sentinel-2, tested on the latter."""
    settings = report.results["settings"]
    return set(settings["train_families"]) == set(TALK) - {BOTH} and settings["test"] == "sentinel"


def _order(report: Report) -> str:
    if is_of_the_talk(report):
        return "that of the talk"
    return "the analogue of the talk's (other family &lt; tested family &lt; both)"


def say_shortly(report: Report) -> str:
    """Whether the order came out, in a sentence."""
    done = "repeats on other data" if is_of_the_talk(report) else "takes to other data and families"
    order = f"{_order(report)}, whose experiment this {done}"
    return SHORTLY[report.results["order"]["as_in_talk"]].format(order)


def say_order(report: Report) -> str:
    """Whether the order came out, each step's gain of F1, and what its interval holds."""
    order = report.results["order"]
    names = [order["steps"][0]["worse"], *(step["better"] for step in order["steps"])]
    series = " &lt; ".join(map(escape, names))
    verdict = VERDICTS[order["as_in_talk"]].format(_order(report), series)
    gains = " ".join(_gain(report, index) for index in range(len(order["steps"])))
    told = f"{verdict} {gains}"
    if all(step["low"] is None for step in order["steps"]):
        return told
    return (
        f"{told} Intervals are Student's of the differences between models of the same seed, one "
        "gain at a time: they tell of other seeds, not of other scenes."
    )


def say_why(report: Report) -> str:
    """What may lie behind each step's answer."""
    share = report.number("data", "share_of_tested", form=".0f")
    examples = report.count("data", "examples")
    first, second = report.results["order"]["steps"]
    names = {"other": escape(first["worse"]), "tested": escape(first["better"])}
    own, more = OWN_SCENES[first["holds"]], MORE_SCENES[second["holds"]]
    return own.format(**names) + (
        f"Steps are equal, so of the {examples} squares that a model of both sees, {share} % are "
        "of {tested}; the model of {tested} alone sees nothing else. " + more
    ).format(**names)


def _gain(report: Report, index: int) -> str:
    step = report.results["order"]["steps"][index]
    mean, low, high = (
        report.number("order", "steps", index, key, form="+.1f") for key in ("mean", "low", "high")
    )
    agree, of = (report.count("order", "steps", index, key) for key in ("agree", "of"))
    confidence = report.number("order", "confidence", form=".0f")
    known = step["low"] is not None
    interval = f" ({confidence} % interval {low} to {high})" if known else ""
    gain = (
        f"{escape(step['better'].capitalize())} minus {escape(step['worse'])}: {mean} points"
        f"{interval}; better in {agree} of {of} seeds."
    )
    if not known:
        return f"{gain} There is no interval without two seeds that have an F1: undecided."
    if step["holds"] == "undecided":
        return f"{gain} The interval holds zero: these runs do not decide it."
    return gain
