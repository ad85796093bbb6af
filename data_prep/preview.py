"""Draws a page of records, so that wrong bands, scales or codes are seen at once.

`python -m data_prep.preview NAME --data_dir=DIR`
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf.json_format import ParseError
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from data_prep.codes import label_title
from data_prep.patches import SPLITS
from permjax.bands import BandDescription, Kind
from permjax.classes import COLOURS, CloudClass
from permjax.radiometry import dequantise
from permjax.report import UNKNOWN_COLOUR, composite

RECORDS: Final = 6
"""On a page."""


@dataclass(frozen=True, eq=False)
class Example:
    """A record as it is drawn: which one it is, image [H, W, N] and its bands, label [H, W]."""

    title: str
    image: NDArray[np.float32]
    bands: BandDescription
    label: NDArray[np.uint8]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; 0 = drawn, 1 = could not be drawn."""
    parser = ArgumentParser(prog="python -m data_prep.preview", description=__doc__)
    parser.add_argument("name", metavar="NAME", help="a data set that was built")
    parser.add_argument("--data_dir", type=Path, required=True, help="where data sets lie")
    parser.add_argument("--output", type=Path, help="the PNG (<data_dir>/<NAME>.png)")
    options = parser.parse_args(arguments)
    output = options.output or options.data_dir / f"{options.name}.png"
    try:
        draw(output, options.name, choose(options.data_dir / options.name))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (RuntimeError, ParseError) as error:  # What array_record and TFDS raise.
        place = options.data_dir / options.name
        print(f"error: {place}: is damaged ({error}): remove it and build it", file=sys.stderr)
        return 1
    print(output)
    return 0


def choose(directory: Path) -> list[Example]:
    """Records of all sensors and splits of a data set, evenly spaced; the same ones each time.

    Raises:
        FileNotFoundError: there is no data set, or no record in it.
    """
    sources = []
    for info in sorted(directory.glob("*/*/dataset_info.json")):
        builder = tfds.builder_from_directory(info.parent)
        for split in SPLITS:
            if split in builder.info.splits and builder.info.splits[split].num_examples:
                title = f"{info.parent.parent.name}, {split}"
                sources.append((title, cast(Any, builder).as_data_source(split)))
    total = sum(len(records) for _, records in sources)
    if not total:
        raise FileNotFoundError(
            f"{directory}: there are no records; make them with python -m data_prep.build"
        )
    wanted = sorted(set(np.linspace(0, total - 1, RECORDS).round().astype(int).tolist()))
    examples = []
    for title, records in sources:
        examples += [_example(f"{title} {i}", records[i]) for i in wanted if 0 <= i < len(records)]
        wanted = [i - len(records) for i in wanted]
    return examples


def _example(title: str, record: dict[str, Any]) -> Example:
    elevation = record["sun_elevation_deg"]
    sun = "elevation unknown" if np.isnan(elevation) else f"at {elevation:.1f}°"
    facts = f"{record['gsd_m']:g} m, sun {sun}"
    return Example(
        title=f"{title}\n{record['scene_id'].decode()}\n{facts}",
        image=dequantise(record["image"], record["scale"], record["offset"]),
        bands=BandDescription(*(record[key] for key in BandDescription._fields)),
        label=record["label"],
    )


def draw(path: Path, name: str, examples: Sequence[Example]) -> None:
    """A row for each record: near true colour, label, and a histogram of each band by unit."""
    figure = Figure(figsize=(15, 2.9 * len(examples) + 0.8), layout="constrained")
    figure.suptitle(name)
    axes = figure.subplots(len(examples), 4, squeeze=False, width_ratios=(1, 1, 1.8, 1.8))
    for (image, label, reflectance, kelvin), example in zip(axes, examples, strict=True):
        image.imshow(composite(example.image, example.bands), interpolation="nearest")
        image.set_ylabel(example.title, fontsize=7)
        label.imshow(palette()[example.label], interpolation="nearest")
        for axis in (image, label):
            axis.set_xticks([])
            axis.set_yticks([])
        thermal = np.asarray(example.bands.kind) == Kind.BRIGHTNESS_TEMPERATURE
        _histograms(reflectance, example, np.flatnonzero(~thermal), "reflectance (unitless)")
        _histograms(kelvin, example, np.flatnonzero(thermal), "brightness temperature (K)")
    used = sorted({int(value) for example in examples for value in np.unique(example.label)})
    colours = palette() / 255
    handles = [
        Patch(facecolor=colours[i].tolist(), edgecolor="grey", label=label_title(i)) for i in used
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def palette() -> NDArray[np.uint8]:
    """The colour of each of the 16 labels [16, 3]: of its class, or the mean of its classes."""
    colours = np.full((1 << len(CloudClass), 3), UNKNOWN_COLOUR, np.uint8)
    for label in range(1, len(colours)):
        own = [COLOURS[c] for c in CloudClass if label & c.bit]
        colours[label] = np.mean(own, axis=0)
    return colours


def _histograms(axis: Axes, example: Example, bands: NDArray[np.int64], unit: str) -> None:
    """Shares of pixels with data, a line for each band in the order of wavelengths."""
    if not len(bands):
        axis.set_axis_off()
        return
    axis.set_xlabel(unit, fontsize=7)
    axis.set_ylabel("% of pixels", fontsize=7)
    axis.tick_params(labelsize=6)
    values = [example.image[..., band] for band in bands]
    values = [v[np.isfinite(v)] for v in values]
    whole = np.concatenate(values)
    edges = np.histogram_bin_edges(whole if len(whole) else np.zeros(1), 60)
    order = np.argsort(np.asarray(example.bands.wavelength_nm)[bands])
    for rank, i in enumerate(order):
        counts = np.histogram(values[i], edges)[0] * 100 / max(len(values[i]), 1)
        wavelength = f"{example.bands.wavelength_nm[bands[i]]:g} nm"
        colour = colormaps["turbo"](rank / max(len(order) - 1, 1))
        axis.stairs(counts, edges, color=colour, label=wavelength)
    axis.legend(fontsize=5, ncols=2, frameon=False)


if __name__ == "__main__":
    sys.exit(main())
