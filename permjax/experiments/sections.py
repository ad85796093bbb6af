"""Sections that the report of the three ways and that of a single model share."""

from collections.abc import Sequence
from html import escape
from typing import Final

from permjax.classes import COLOURS, CloudClass
from permjax.experiments.bands_used import (
    SUBSETS,
    draw_bands,
    draw_numbers,
    draw_slides,
    largest_change,
)
from permjax.experiments.calibration import BINS, draw_calibration
from permjax.experiments.embedding import RELATIVE_WIDTH, draw_embedding
from permjax.experiments.html_report import Report
from permjax.experiments.matching import LEAST_OVERLAP
from permjax.experiments.pictures import DIFFERENCES, LEAST_MIXED, UNKNOWN
from permjax.experiments.probes import BATCH_SIZE, PROBED
from permjax.experiments.windows import (
    KERNEL,
    LEAST_COVER,
    LEAST_LABELLED,
    METRICS,
    RESAMPLES,
    draw_differences,
    draw_windows,
)
from permjax.report import UNKNOWN_COLOUR, hex_colour

METHOD: Final = {
    "resamples": RESAMPLES,
    "kernel": KERNEL,
    "least_cover": LEAST_COVER,
    "least_labelled": LEAST_LABELLED,
    "least_mixed": LEAST_MIXED,
    "least_overlap": LEAST_OVERLAP,
    "probed": PROBED * BATCH_SIZE,
    "subsets": SUBSETS,
    "bins": BINS,
    "relative_width": RELATIVE_WIDTH,
}
"""How things are measured: the constants of the measurements that reports tell of."""


def _several(report: Report) -> bool:
    """Whether the report is of models of several seeds."""
    return any(len(seeds) > 1 for seeds in report.results["windows"]["counts"].values())


def tell_windows(report: Report, reference: str | None = None) -> None:
    """Scores of windows against cloud cover; the differences to a reference, if it is given."""
    curves, size = report.results["curves"], report.count("windows", "size")
    panels = {
        f"windows_{metric}.png": f"{title} against cloud cover" for metric, title in METRICS.items()
    }
    for file, metric in zip(panels, METRICS, strict=True):
        draw_windows(report.directory / file, curves, metric)
    cover, labelled, kernel = (
        report.number("method", key, form=".0f")
        for key in ("least_cover", "least_labelled", "kernel")
    )
    report.paragraph(
        f"Each window of {size} x {size} pixels has a cloud cover, by its label, and scores of its "
        "own. A score is left out where it has no meaning: recall, say, in a window without cloud. "
        f"Left out are also windows with less than {labelled} % of the labelled pixels of the "
        "window that has most."
    )
    resamples = report.count("method", "resamples")
    scenes = report.count("curves", "scenes")
    seeds = "Counts of all seeds are added in each window; the band tells of scenes, not of seeds."
    pooled = seeds if _several(report) else ""
    report.figure(
        panels,
        "Scores in each window (points) against the window's cloud cover, with their local means "
        f"(Gaussian weights, a standard deviation of {kernel} points of cover) and bands of 95 % "
        f"at each cover by itself ({resamples} resamples of the {scenes} scenes). F1 and precision "
        f"begin at {cover} % cloud: below, a few false pixels decide them. {pooled}",
        source="curves",
    )
    if reference is None:
        return
    panels = {
        f"difference_{metric}.png": f"difference of {title}" for metric, title in METRICS.items()
    }
    for file, metric in zip(panels, METRICS, strict=True):
        draw_differences(report.directory / file, curves, metric, reference)
    report.figure(
        panels,
        f"The same for the difference, window by window, of the model of both families minus that "
        f"of {escape(reference)} alone: above zero the other family's scenes have helped.",
        source="curves/differences",
    )


def tell_pictures(report: Report) -> None:
    """Scenes with what the models see, and the keys of colours."""
    scenes = report.results["pictures"]
    colours = {c.title: hex_colour(COLOURS[c]) for c in CloudClass}
    least = report.number("method", "least_mixed", form=".0f")
    names = list(scenes[0]["f1"]) if scenes else []
    first = f" of {escape(names[0])}" if len(names) > 1 else ""
    seed = " All models are those of the first seed." if _several(report) else ""
    report.paragraph(
        "Chosen scenes are those with the most varied labels, whatever the models make of them. "
        f"Best and worst are those with the highest and the lowest F1{first} among the scenes that "
        f"are not chosen and have at least {least} % cloud and as much clear sky. Where a label "
        f"allows several classes, truth shows the first.{seed}"
    )
    if len(names) > 1:
        differences = zip(DIFFERENCES, map(hex_colour, DIFFERENCES.values()), strict=True)
        colours |= {meaning.format(*names): colour for meaning, colour in differences}
    report.key(colours | {UNKNOWN: hex_colour(UNKNOWN_COLOUR)})
    for index, scene in enumerate(scenes):
        scores = "; ".join(
            f"{escape(name)}: F1 {report.number('pictures', index, 'f1', name)} %, "
            f"accuracy {report.number('pictures', index, 'accuracy', name)} %"
            for name in scene["f1"]
        )
        name = f"{scene['dataset']}, scene {scene['scene_id']}"
        report.pictures(
            {panel["file"]: panel["title"] for panel in scene["panels"]},
            f"{scene['why'].capitalize()}: {escape(name)}. {scores}.",
            of=name,
        )


def tell_use_of_bands(report: Report) -> None:
    """What each band is worth, how many are enough, and what a wrong description does."""
    report.heading("Which bands it needs", 3)
    _tell_bands(report)
    report.heading("How many bands it needs", 3)
    _tell_numbers(report)
    report.heading("What if a band is described wrongly?", 3)
    tell_slides(report)


def _tell_bands(report: Report) -> None:
    """What each band does, left out and alone."""
    panels = {}
    for sensor, runs in report.results["bands"].items():
        file = f"bands_{sensor}.png"
        draw_bands(report.directory / file, sensor, runs)
        panels[file] = f"accuracy of {sensor} without each band and with it alone"
    report.figure(
        panels,
        "Accuracy without a band (dots: left of the line, the band was needed) and with that band "
        "alone (diamonds), beside all bands (line), on up to "
        f"{report.count('method', 'probed')} records of each instrument. The model is not trained "
        "anew: it is told that the other bands are not there.",
        source="bands",
    )


def _tell_numbers(report: Report) -> None:
    """Accuracy against the number of bands."""
    draw_numbers(report.directory / "numbers.png", report.results["numbers"])
    report.figure(
        {"numbers.png": "accuracy against the number of bands"},
        f"Accuracy against the number of bands, {report.count('method', 'subsets')} random choices "
        "of each number: mean, and from the worst choice to the best.",
        source="numbers",
    )


def tell_slides(report: Report) -> None:
    """What changes where a band is described wrongly."""
    panels, slides = {}, report.results["slides"]
    limit = largest_change(slides)
    for sensor, runs in slides.items():
        file = f"slides_{sensor}.png"
        draw_slides(report.directory / file, sensor, runs, limit)
        panels[file] = f"change of accuracy of {sensor} where a band is described wrongly"
    report.figure(
        panels,
        "Change of accuracy while the described wavelength of one band is slid away from the truth "
        "and its image stays as it is. Strong colours: the model relies on what it is told. "
        "All sensors have one scale.",
        source="slides",
    )


def tell_embedding(report: Report) -> None:
    """The map of bands."""
    width = report.number("method", "relative_width", form=".0f")
    first = ", of the first seed" if _several(report) else ""
    draw_embedding(report.directory / "embedding.png", report.results["embedding"])
    report.figure(
        {"embedding.png": "bands of all sensors in the plane of two principal components"},
        "How the encoder describes bands to the model: the first two principal components of the "
        f"codes of every band of every known sensor, each encoded alone{first}. Dots "
        "are bands of sensors trained on, crosses those of the others. The grey line runs from "
        "400 nm to 14 µm (a gap where reflectance ends and temperature begins), of bands with "
        f"{width} % of their wavelength as width; its labels are µm.",
        source="embedding",
    )


def tell_calibration(report: Report, names: Sequence[str]) -> None:
    """The reliability diagram and the expected calibration errors."""
    calibration = report.results["calibration"]
    file = "reliability.png"
    draw_calibration(report.directory / file, {name: calibration[name][0] for name in names})
    errors = ", ".join(
        f"{escape(name)} "
        + " / ".join(
            report.number("calibration", name, seed, "error")
            for seed in range(len(calibration[name]))
        )
        for name in names
    )
    drawn, by_seed = (", of the first seed", ", of each seed") if _several(report) else ("", "")
    report.figure(
        {file: "how often it is cloud against the probability of cloud"},
        "How often it is cloud where the model gives cloud some probability, in "
        f"{report.count('method', 'bins')} bins{drawn}; below the diagonal it is too "
        f"sure of cloud. Expected calibration error, in points{by_seed}: {errors}.",
        source="calibration",
    )
