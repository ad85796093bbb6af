"""Measurements as JSON, each made once and kept."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def kept(path: Path, measure: Callable[[], Any]) -> Any:
    """What `measure` gives, as JSON gives it back; measured only if `path` does not hold it yet.

    Remove the file to have it measured again.
    """
    if not path.exists():
        write_json(path, measure())
    return json.loads(path.read_text())


def write_json(path: Path, values: Any) -> None:
    """Write JSON at once, so that a stopped process leaves the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".partial")
    unfinished.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n")
    unfinished.replace(path)


def finite(values: ArrayLike) -> Any:
    """Numbers as JSON can hold them, of the same nesting: None for what is not finite."""
    values = np.asarray(values, float)
    if values.ndim:
        return [finite(part) for part in values]
    return float(values) if math.isfinite(values) else None
