"""Scores of cloud masks against labels that are sets of classes, from counts that add up."""

from dataclasses import dataclass

import numpy as np

from permjax import classes
from permjax.classes import CloudClass


@dataclass(frozen=True)
class Counts:
    """Pixels of a yes-or-no question: true and false positives and negatives; counts add."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def accuracy(self) -> float:
        """Share of pixels answered right; NaN without pixels."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def precision(self) -> float:
        """Share of the found that is true; NaN if nothing was found."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the true that was found; NaN if there is nothing to find."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """Intersection over union, TP / (TP + FP + FN)."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


@dataclass(frozen=True)
class MaskCounts:
    """Counts of the two questions of a mask: cloud (thick or thin) or not, shadow or not."""

    cloud: Counts = Counts()
    shadow: Counts = Counts()

    def __add__(self, other: "MaskCounts") -> "MaskCounts":
        return MaskCounts(self.cloud + other.cloud, self.shadow + other.shadow)

    def scores(self) -> dict[str, float]:
        """The figures of the metrics table, by name; NaN where undefined.

        Shadow has no F1 where none is labelled: labels of cloud alone cannot test it.
        """
        return {
            "accuracy": self.cloud.accuracy,
            "f1": self.cloud.f1,
            "precision": self.cloud.precision,
            "recall": self.cloud.recall,
            "iou": self.cloud.iou,
            "shadow_f1": self.shadow.f1 if self.shadow.tp + self.shadow.fn else float("nan"),
        }


def count_mask(predicted: np.ndarray, label: np.ndarray) -> MaskCounts:
    """Count the pixels of one image or batch whose label answers the question.

    A label answers when all classes that it allows give the same answer: `clear or shadow` is
    surely not cloud, but says nothing of shadow.

    Args:
        predicted: class codes `[...]` (255, no data, is not counted).
        label: uint8 bits `[...]`.
    """
    cloud = classes.is_cloud(predicted)
    shadow = predicted == CloudClass.CLOUD_SHADOW
    label = np.where(predicted == classes.NO_DATA, classes.UNLABELLED, label)
    return MaskCounts(
        cloud=_count(cloud, label, classes.CLOUD),
        shadow=_count(shadow, label, classes.CLOUD_SHADOW),
    )


def answers(label: np.ndarray, positive: int) -> tuple[np.ndarray, np.ndarray]:
    """Where labels surely say yes, and where surely no, to whether a pixel is of some classes.

    Args:
        label: uint8 bits `[...]`.
        positive: the bits of those classes.
    """
    labelled = label != classes.UNLABELLED
    return labelled & (label | positive == positive), labelled & (label & positive == 0)


def _count(predicted: np.ndarray, label: np.ndarray, positive: int) -> Counts:
    surely, surely_not = answers(label, positive)
    return Counts(
        tp=int(np.sum(surely & predicted)),
        fp=int(np.sum(surely_not & predicted)),
        fn=int(np.sum(surely & ~predicted)),
        tn=int(np.sum(surely_not & ~predicted)),
    )
