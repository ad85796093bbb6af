"""The mean of a run's weights and those that it started from."""

from pathlib import Path

import jax
from flax import nnx

from permjax.checkpoints import load_model
from permjax.config import load_config
from permjax.models import CloudMasker
from permjax.training import initial_model


def halfway(workdir: Path) -> CloudMasker:
    """The model whose every parameter is the mean of a run's first and newest one.

    Weights that were trained on much and then a little on something else keep more of the first
    and most of the second: Wortsman et al. 2022, "Robust Fine-Tuning of Zero-Shot Models".

    Raises:
        FileNotFoundError: there is no run, or no longer what it started from.
        ValueError: it started from random weights.
    """
    config = load_config(workdir)
    if config.init is None:
        raise ValueError(f"{workdir} started from random weights: it has no halfway")
    graphdef, newest = nnx.split(load_model(workdir))
    first = nnx.state(initial_model(config))
    return nnx.merge(graphdef, jax.tree.map(lambda a, b: (a + b) / 2, first, newest))
