"""The weights that masking uses: plain arrays in a folder, without pickle and without orbax.

A folder of weights holds `weights.npz` (parameters by name), `config.json` (their name, the size of
the model and the wavelengths that they know) and `card.md` (what they were trained and measured
on). The one that is shipped is `permjax/pretrained`; `permjax.export_weights` writes it from a run.
"""

import dataclasses
import json
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NoReturn

import jax.numpy as jnp
import numpy as np
from flax import nnx

from permjax.bands import as_kind
from permjax.inference import Masker
from permjax.models import CloudMasker, ModelConfig
from permjax.trained_on import TrainedOn

PRETRAINED: Final = Path(__file__).with_name("pretrained")
"""The folder of the weights that come with the package."""

_ARRAYS, _CONFIG = "weights.npz", "config.json"


def load_pretrained() -> Masker:
    """The masker with the weights that come with the package; nothing is fetched.

    What they were trained and measured on is told by `permjax/pretrained/card.md`.
    """
    return Masker(
        read_weights(PRETRAINED),
        weights=weights_name(PRETRAINED),
        trained_on=read_trained_on(PRETRAINED),
    )


def weights_name(folder: Path) -> str:
    """The name of the weights in a folder, as mask files and summaries give it."""
    return _read_config(folder)["name"]


def read_trained_on(folder: Path) -> TrainedOn | None:
    """The wavelengths that the weights in a folder were trained on; None if they do not tell."""
    told = _read_config(folder).get("trained_on")
    if told is None:
        return None
    try:
        return {
            as_kind(kind).word: [(int(low), int(high)) for low, high in ranges]
            for kind, ranges in told.items()
        }
    except (AttributeError, TypeError, ValueError):
        _refuse(folder / _CONFIG)


def write_weights(model: CloudMasker, name: str, folder: Path, trained_on: TrainedOn) -> None:
    """Writes a model's parameters as float16: half the size, and alike to 1/2000.

    Args:
        model: whose parameters to write.
        name: of the weights.
        folder: to write into; made if it is not there, files in it are replaced.
        trained_on: the wavelengths that they know.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {key: value.astype(np.float16) for key, value in _named(nnx.state(model)).items()}
    sizes = dataclasses.asdict(model.config)
    text = json.dumps({"name": name, "model": sizes, "trained_on": trained_on}, indent=2)
    # Both whole before either is there: weights and what tells of them belong together.
    partial = {file: folder / f"{file}.partial" for file in (_ARRAYS, _CONFIG)}
    with partial[_ARRAYS].open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    partial[_CONFIG].write_text(text + "\n", encoding="utf-8")
    for file_name, path in partial.items():
        path.replace(folder / file_name)


def read_weights(folder: Path) -> CloudMasker:
    """The model whose weights a folder holds, with float32 parameters on the default device.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: the files are damaged, or their weights are those of another model.
    """
    sizes = _read_config(folder)["model"]
    try:
        config = ModelConfig(**sizes | {"features": tuple(sizes["features"])})
        with np.load(BytesIO((folder / _ARRAYS).read_bytes()), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (TypeError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        raise ValueError(f"{folder}: its weights are damaged: install permjax again") from None
    # Shapes alone: initial values, which compile for seconds, are not needed.
    graphdef, state = nnx.split(nnx.eval_shape(lambda: CloudMasker(config, rngs=nnx.Rngs(0))))
    if {k: v.shape for k, v in arrays.items()} != {k: v.shape for k, v in _named(state).items()}:
        raise ValueError(f"{folder}: its weights are those of another model: write them anew")
    flat = [
        (path, variable.replace(jnp.asarray(arrays[_name(path)], variable.dtype)))
        for path, variable in nnx.to_flat_state(state)
    ]
    return nnx.merge(graphdef, nnx.from_flat_state(flat))


def _named(state: nnx.State) -> dict[str, Any]:
    """The arrays of a state, or their shapes, by name: `downs/0/kernel`."""
    return {_name(path): variable.get_value() for path, variable in nnx.to_flat_state(state)}


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(map(str, path))


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / _CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{folder}: there are no weights: {_CONFIG} is missing") from None
    except ValueError:
        config = None
    # Older weights do not tell what they were trained on.
    if not isinstance(config, dict) or config.keys() - {"trained_on"} != {"name", "model"}:
        _refuse(path)
    return config


def _refuse(path: Path) -> NoReturn:
    raise ValueError(f"{path}: does not describe weights: install permjax again") from None
