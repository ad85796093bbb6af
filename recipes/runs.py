"""Runs that later stages go on from and that benchmarks measure: whole ones alone."""

from pathlib import Path

from permjax.checkpoints import Checkpoints
from permjax.config import load_config


def finished(workdir: Path) -> Path:
    """The work directory of a run again, if the run went to the last step of its own settings.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: it was stopped before.
    """
    steps = load_config(workdir).steps
    with Checkpoints(workdir, clean_up=False) as checkpoints:
        newest = checkpoints.newest or 0
    if newest < steps:
        raise ValueError(f"{workdir} has come to step {newest} of {steps}: let it train on first")
    return workdir
