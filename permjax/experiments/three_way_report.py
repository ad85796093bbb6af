"""The report of the three ways, as a short paper."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from permjax.experiments.html_report import Report
from permjax.experiments.left_out import draw_left_out
from permjax.experiments.sections import (
    tell_calibration,
    tell_embedding,
    tell_pictures,
    tell_use_of_bands,
    tell_windows,
)
from permjax.experiments.verdict import is_of_the_talk, say_order, say_shortly, say_why
from permjax.experiments.windows import METRICS


def write_report(results: Mapping[str, Any], directory: Path) -> Path:
    """Write figures, `report.json` and `report.html`; returns the path of the page.

    Args:
        results: of `measuring.measure`.
        directory: where the pictures of scenes lie already.
    """
    report = Report(results, directory)
    _in_short(report)
    _setting(report)
    _data(report)
    _three_ways(report)
    reference = report.results["settings"]["test"]
    report.heading("In windows, against cloud cover")
    tell_windows(report, reference)
    report.heading("Pictures")
    tell_pictures(report)
    report.heading("How the model interprets sensors")
    report.paragraph(
        "Where nothing else is said, this section is of the models trained on both families, the "
        "mean of their seeds."
    )
    tell_use_of_bands(report)
    report.heading("A map of bands", 3)
    tell_embedding(report)
    report.heading("Sensors that it never saw", 3)
    _left_out(report)
    report.heading("Do its probabilities mean what they say?", 3)
    tell_calibration(report, list(report.results["ways"]))
    _not_measured(report)
    return report.write("Do scenes of other satellites help to mask clouds?")


def _in_short(report: Report) -> None:
    scores = ", ".join(
        f"{report.mean('ways', way, 'f1')} % trained on {escape(way)}"
        for way in report.results["ways"]
    )
    report.paragraph(
        f"<b>In short.</b> F1 of cloud on {escape(_tested(report))}: {scores}. "
        + say_shortly(report)
    )


def _setting(report: Report) -> None:
    settings = report.results["settings"]
    one, other = (escape(name) for name in settings["train_families"])
    seeds, steps, batch = (
        report.count("settings", key) for key in ("seeds", "steps", "batch_size")
    )
    others = "" if is_of_the_talk(report) else ", with another choice of families than the talk's"
    report.heading("Setting")
    report.paragraph(
        "A. Francis asks in the talk “Sensor-Independent Deep Learning for Cloud Masking” whether "
        "labelled scenes of other satellites help a model that reads each band together with its "
        "description, and how such a model interprets different sensors. This report asks the same "
        f"of permjax, on {escape(settings['data'])} scenes{others}."
    )
    report.paragraph(
        f"The same model is trained three ways: on {one}, on {other}, and on both, each way "
        f"with as many seeds ({seeds}) and steps ({steps}, of {batch} squares). All are tested on "
        f"the scenes of {escape(settings['test'])} held out."
    )


def _data(report: Report) -> None:
    data = report.results["data"]
    report.heading("Data")
    rows = [
        [escape(records["name"])]
        + [report.count("data", "records", i, key) for key in ("train", "test")]
        for i, records in enumerate(data["records"])
    ]
    report.table(["records", "train", "test"], rows, "Records of each sensor, a square each.")
    shared = "; ".join(
        f"{escape(sensor)} {escape(', '.join(bands))}"
        for sensor, bands in data["shared_bands"].items()
    )
    other = next(n for n in report.results["ways"] if n not in (_tested(report), "both"))
    overlap = report.number("method", "least_overlap", form=".0f")
    report.paragraph(
        f"The model of {escape(other)} is tested with the bands that both families share, those "
        f"that overlap in {overlap} % at least of what the two span together by their described "
        f"wavelengths and widths: {shared}. The others see all bands of the records."
    )
    if report.results["settings"]["data"] == "simulated":
        report.paragraph(
            "The scenes are simulated by physics (data_prep/simulated). Held-out scenes are the "
            "same for every sensor, so that those of one family's twins are not independent; "
            "training scenes are nearly always each sensor's own."
        )


def _tested(report: Report) -> str:
    return report.results["settings"]["test"]


def _spread(report: Report) -> str:
    several = report.results["settings"]["seeds"] > 1
    return "mean and standard deviation over seeds" if several else "one seed"


def _three_ways(report: Report) -> None:
    results = report.results
    report.heading("Three ways")
    rows = [
        [escape(way)] + [report.mean("ways", way, metric) for metric in METRICS]
        for way in results["ways"]
    ]
    report.table(
        ["trained on", *METRICS.values()],
        rows,
        f"Scores of cloud, thick or thin, on {escape(_tested(report))}, per cent of pixels: "
        f"{_spread(report)}.",
    )
    others = "" if is_of_the_talk(report) else "another choice of families, "
    rows = [
        [escape(way)] + [report.number("talk", way, metric) for metric in METRICS]
        for way in results["talk"]
    ]
    report.table(
        ["trained on", *METRICS.values()],
        rows,
        "The talk's own figures: <b>another data set</b>, real Sentinel-2 scenes, "
        f"{others}and another model. Only the order of its rows can be compared, not their "
        "numbers.",
    )
    report.paragraph(say_order(report))
    report.paragraph(say_why(report))


def _left_out(report: Report) -> None:
    sensors = report.results["left_out"]
    if not sensors:
        report.paragraph(
            "No instrument with test records could be left out: that takes training records of it "
            "and of another one."
        )
        return
    draw_left_out(report.directory / "left_out.png", sensors)
    rows = []
    for name in sensors:
        twins = report.results["twins"][name]
        cells = [
            report.mean("left_out", name, metric, of)
            for metric in ("accuracy", "f1")
            for of in ("trained", "never")
        ]
        rows.append([escape(", ".join([name, *twins])), *cells])
    head = ["sensor and its twins", "accuracy", "never trained on", "F1", "never trained on"]
    report.table(
        head,
        rows,
        f"Scores on up to {report.count('method', 'probed')} records of each instrument's first "
        f"sensor, by the models of both ({_spread(report)}), and by one model of as many steps "
        "(first seed) that saw neither it nor its twins.",
    )
    report.figure(
        {"left_out.png": "accuracy on sensors trained on and never trained on"},
        "The accuracies of the table.",
        source="left_out",
    )


def _not_measured(report: Report) -> None:
    settings = report.results["settings"]
    seeds, steps, batch = (
        report.count("settings", key) for key in ("seeds", "steps", "batch_size")
    )
    levels = range(len(settings["model"]["features"]))
    features = ", ".join(report.count("settings", "model", "features", i) for i in levels)
    spread = f"The spread is that of {seeds} seeds on one set of scenes."
    if settings["seeds"] == 1:
        spread = "One seed has no spread: how much others would differ is not known."
    report.heading("What was not measured")
    simulated = (
        "The simulator's clouds, ground and labels are not the world's: nothing here says how far "
        "any of these models is right on real scenes. "
    )
    real = (
        "Real labels are people's judgement, and differ from one another at cloud edges and in "
        "thin cloud. Few scenes prove little: see the numbers of records above. "
    )
    report.paragraph(
        (simulated if settings["data"] == "simulated" else real)
        + f"The models have {features} features in their levels and are trained for {steps} steps "
        f"of {batch} squares; what is true of them may not be of larger ones, or of longer "
        f"training. {spread} Models with an instrument left out are of one seed. Bands were taken "
        "away from models that know all of them; models trained without may do better. Shadow is "
        "not scored here."
    )
    report.paragraph(
        "Every number stands in <code>report.json</code> beside this page; the page's source names "
        "its place there (<code>data-json</code>), and each figure the key that it is drawn from."
    )
