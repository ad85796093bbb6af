"""Writes the newest weights of a run into the package, as masking reads them.

`python -m permjax.export_weights --workdir=RUN --name=NAME`. Their card, `card.md` beside them, is
written by hand: it must tell what the new weights were trained and measured on.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from permjax import averaging
from permjax.bands import BandDescription, Kind
from permjax.checkpoints import load_model
from permjax.cli import report_errors
from permjax.config import load_config
from permjax.data import describe, find_datasets, training_shares
from permjax.sensors import select_sensors
from permjax.trained_on import TrainedOn, covered, merge
from permjax.weights import PRETRAINED, read_trained_on, write_weights


def export_weights(
    workdir: Path,
    name: str,
    folder: Annotated[Path, tyro.conf.Suppress] = PRETRAINED,
    halfway: bool = False,
) -> None:
    """Write the newest weights of a run as plain arrays.

    Args:
        workdir: directory of the run whose newest checkpoint is taken; its records must be there.
        name: of the weights, as mask files give it.
        folder: where to write.
        halfway: write the mean of these weights and of those that the run started from.
    """
    model = averaging.halfway(workdir) if halfway else load_model(workdir)
    write_weights(model, name, folder, _trained_on(workdir))
    print(f"{folder}: weights {name}; tell in card.md what they were trained and measured on")


def _trained_on(workdir: Path) -> TrainedOn:
    """What the examples of a run cover, and those of the weights that it started from.

    Raises:
        FileNotFoundError: there is no run, or its records are no longer there.
    """
    config = load_config(workdir)
    try:
        datasets = find_datasets(config.records_dir, select_sensors(config.sensors), config.data)
        bands = [describe(dataset, "train") for dataset in training_shares(datasets, config)]
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{workdir}: what it was trained on is told by its records, so bring them back: {error}"
        ) from None
    if config.surface_share:
        bands += [_on_ground(described) for described in bands]
    return merge([*map(covered, bands), _before(config.init)])


def _before(init: str | None) -> TrainedOn:
    """What the weights that `TrainConfig.init` names were trained on, as far as they tell."""
    if init is None:
        return {}
    return read_trained_on(PRETRAINED) or {} if init == "pretrained" else _trained_on(Path(init))


def _on_ground(bands: BandDescription) -> BandDescription:
    """The bands as training gives those examples that it turns into surface reflectance."""
    reflected = bands.kind == Kind.REFLECTANCE
    return bands._replace(kind=np.where(reflected, Kind.SURFACE_REFLECTANCE, bands.kind))


@report_errors
def main() -> None:
    """Run the command line."""
    tyro.cli(export_weights, prog="python -m permjax.export_weights", use_underscores=True)


if __name__ == "__main__":
    main()
