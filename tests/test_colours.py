"""The colours of pictures are told apart, by those too who see two of three primaries.

Colour blindness is simulated as Machado, Oliveira and Fernandes 2009, "A Physiologically-based
Model for Simulation of Color Vision Deficiency", has it: a matrix for linear RGB. Distances are
those of CIE 1976 L*a*b*, in which about 2.3 is just noticed side by side.
"""

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pytest

from permjax.classes import COLOURS
from permjax.experiments.pictures import DIFFERENCES
from permjax.report import UNKNOWN_COLOUR

VISION = {
    "three primaries": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868],
         [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968],
         [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
}  # fmt: skip
"""Their matrices of severity 1."""
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375],
     [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip
"""Of linear sRGB, IEC 61966-2-1."""
LEAST_IN_PANEL, LEAST_IN_KEY = 25, 19


def lab(colours: np.ndarray, vision: np.ndarray) -> np.ndarray:
    """L*a*b* `[M, 3]` of sRGB colours `[M, 3]`, as they are seen."""
    encoded = colours / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ vision.T, 0, 1)
    share = (seen @ XYZ.T) / XYZ.sum(axis=1)
    x, y, z = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def least_distance(colours: Iterable[tuple[int, int, int]], vision: str) -> float:
    at = lab(np.array([*colours], float), VISION[vision])
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(at, 2))


def test_distances_are_those_of_known_colours():
    """White is 100 above black, and a grey is a grey to everybody."""
    greys = [(0, 0, 0), (255, 255, 255)]
    for vision in VISION:
        assert least_distance(greys, vision) == pytest.approx(100, abs=0.1)
    assert lab(np.array([[255.0, 0, 0]]), np.eye(3))[0] == pytest.approx(
        [53.2, 80.1, 67.2], abs=0.1
    )
    red_green = [(164, 90, 60), (110, 110, 60)]
    assert least_distance(red_green, "deuteranopia") < 0.5 * least_distance(
        red_green, "three primaries"
    )


@pytest.mark.parametrize("vision", VISION)
def test_colours_of_a_panel_are_told_apart(vision):
    """What is not labelled is in the panel of classes and in that of differences."""
    for panel in ({*COLOURS.values(), UNKNOWN_COLOUR}, set(DIFFERENCES.values())):
        assert len(panel) == 5
        assert least_distance(panel, vision) >= LEAST_IN_PANEL


@pytest.mark.parametrize("vision", VISION)
def test_colours_of_the_key_of_both_panels_are_told_apart(vision):
    key = {*COLOURS.values(), *DIFFERENCES.values()}
    assert len(key) == 9
    assert least_distance(key, vision) >= LEAST_IN_KEY
