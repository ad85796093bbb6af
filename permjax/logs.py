"""What a run writes while it goes: JSON lines, TensorBoard events, and progress bars."""

import json
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from tensorboardX import SummaryWriter

LOG_FILE = "log.jsonl"


class Log:
    """The figures of each step, as JSON lines and for TensorBoard, in the work directory.

    A run that goes on after step `done` drops what was logged of later steps, so that each step
    stands there once. A context manager.
    """

    def __init__(self, workdir: Path, done: int):
        path = workdir / LOG_FILE
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _step(line) <= done]
            path.write_text("".join(line + "\n" for line in kept))
        self._lines = path.open("a")
        self._events = SummaryWriter(str(workdir / "tensorboard"), purge_step=done + 1)

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lines.close()
        self._events.close()

    def write(self, step: int, **figures: float) -> None:
        """Log the figures of a step."""
        self._lines.write(json.dumps({"step": step, **figures}) + "\n")
        self._lines.flush()
        for name, value in figures.items():
            self._events.add_scalar(name, value, step)


def _step(line: str) -> float:
    """The step of a logged line; a line cut off by a kill counts as later than all."""
    try:
        return json.loads(line)["step"]
    except json.JSONDecodeError:
        return float("inf")


def progress() -> Progress:
    """A progress bar on standard error, with count, time spent and time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
