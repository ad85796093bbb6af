"""Writes the newest weights of a run into the package, or elsewhere, as masking reads them.

`python -m permjax.export_weights --workdir=RUN --name=NAME`. Their card, `card.md` beside them, is
written by hand: it must tell what the new weights were trained and measured on.
"""

from pathlib import Path

import tyro

from permjax.checkpoints import load_model
from permjax.cli import report_errors
from permjax.weights import PRETRAINED, write_weights


def export_weights(workdir: Path, name: str, folder: Path = PRETRAINED) -> None:
    """Write the newest weights of a run as plain arrays.

    Args:
        workdir: directory of the run whose newest checkpoint is taken.
        name: of the weights, as mask files give it.
        folder: where to write; in the package if not given.
    """
    write_weights(load_model(workdir), name, folder)
    print(f"{folder}: weights {name}; tell in card.md what they were trained and measured on")


@report_errors
def main() -> None:
    """Run the command line."""
    tyro.cli(export_weights, prog="python -m permjax.export_weights", use_underscores=True)


if __name__ == "__main__":
    main()
