"""Scores of a model on labelled records, and the predictions behind them."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from permjax.bands import BandDescription
from permjax.classes import decide
from permjax.data import Batch, Dataset, Split, evaluation_batches
from permjax.metrics import MaskCounts, count_mask
from permjax.models import CloudMasker

Predict = Callable[[Batch], np.ndarray]


def predictor(model: CloudMasker) -> Predict:
    """A compiled function from a batch to class codes uint8 `[B, H, W]`."""
    graphdef, params = nnx.split(model)

    @jax.jit
    def predict(params: nnx.State, batch: Batch) -> jax.Array:
        logits = nnx.merge(graphdef, params)(batch.image, batch.bands, batch.valid)
        return decide(jax.nn.softmax(logits, axis=-1))

    return lambda batch: np.asarray(predict(params, batch._replace(scene_id=(), label=())))


def predictions(
    predict: Predict, dataset: Dataset, split: Split, batch_size: int = 16
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Each batch of a split with its predicted class codes `[B, H, W]`."""
    for batch in evaluation_batches(dataset, split, batch_size):
        yield batch, predict(batch)


class Example(NamedTuple):
    """One image with its truth: image `[H, W, N]`, label bits and predicted classes `[H, W]`."""

    sensor: str
    scene_id: str
    image: np.ndarray
    bands: BandDescription
    label: np.ndarray
    predicted: np.ndarray


class Evaluation(NamedTuple):
    """The counts over all records of a split, and the examples with the most varied labels."""

    counts: MaskCounts
    examples: list[Example]


def evaluate(predict: Predict, dataset: Dataset, split: Split, examples: int = 2) -> Evaluation:
    """Score a model on all records of a split; the metrics are the `scores` of the counts.

    The examples are chosen by their labels alone, never by how well they were predicted.
    """
    counts = MaskCounts()
    shown: list[tuple[float, Example]] = []
    for batch, predicted in predictions(predict, dataset, split):
        counts += count_mask(predicted, batch.label)
        for b in np.flatnonzero(batch.label.any(axis=(1, 2))):
            shown.append(
                (label_variety(batch.label[b]), _example(dataset, batch, predicted, int(b)))
            )
        shown = sorted(shown, key=lambda pair: -pair[0])[:examples]
    return Evaluation(counts, [example for _, example in shown])


def label_variety(label: np.ndarray) -> float:
    """Entropy of the label's sets of classes, in nats."""
    shares = np.bincount(label.ravel()) / label.size
    return float(-np.sum(shares * np.log(np.maximum(shares, 1e-12))))


def _example(dataset: Dataset, batch: Batch, predicted: np.ndarray, b: int) -> Example:
    there = batch.valid[b]
    return Example(
        dataset.sensor,
        str(batch.scene_id[b]),
        batch.image[b][..., there],
        BandDescription(*(part[b][there] for part in batch.bands)),
        batch.label[b],
        predicted[b],
    )
