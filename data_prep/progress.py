"""The progress bar of packing and checking: scenes, patches and MB/s of what was fetched."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from data_prep.sources import SourceScene

MOST_NAMED: Final = 3
"""Scenes that a note on the screen names; the metadata name all."""


class SceneProgress:
    """A bar whose length is bytes of scenes; made by `scene_progress`."""

    def __init__(self, bar: Progress, scenes: Sequence[SourceScene]) -> None:
        self._bar, self._scenes = bar, scenes
        self._task = bar.add_task(
            "",
            total=max(sum(scene.size_bytes for scene in scenes), 1),
            rate="",
            counts="",
            start=False,
        )
        self._done_bytes = self._done_scenes = self._patches = self._skipped_bytes = 0
        self._start = 0.0

    def checking(self, scenes: Sequence[SourceScene]) -> Iterable[SourceScene]:
        """The scenes, with a bar of their own."""
        task = self._bar.add_task("checking", total=len(scenes), rate="", counts="")
        for index, scene in enumerate(scenes):
            counts = f"{index + 1}/{len(scenes)} scenes"
            self._bar.update(task, completed=index, counts=counts)
            yield scene
        self._bar.remove_task(task)

    @contextmanager
    def scene(self, scene: SourceScene) -> Iterator[Callable[[float], None]]:
        """Counts a scene; the function given tells which share of it is read."""
        if not self._start:
            self._start = time.perf_counter()
            self._bar.start_task(self._task)
        self._bar.update(self._task, description=scene.name)
        yield lambda share: self._show(self._done_bytes + share * scene.size_bytes)
        self._done_bytes += scene.size_bytes
        self._done_scenes += 1
        self._show(self._done_bytes)

    def count_patch(self) -> None:
        """One more patch is written."""
        self._patches += 1

    def skip(self, scenes: Sequence[SourceScene], patches: int) -> None:
        """Scenes that an earlier run has packed."""
        size_bytes = sum(scene.size_bytes for scene in scenes)
        self._skipped_bytes += size_bytes
        self._done_bytes += size_bytes
        self._done_scenes += len(scenes)
        self._patches += patches
        self._show(self._done_bytes)

    def list_notes(self, notes: Mapping[str, Sequence[str]]) -> None:
        """What is true of which scenes and not seen in the records."""
        for note, scenes in notes.items():
            named = ", ".join(scenes[:MOST_NAMED]) + (", ..." if scenes[MOST_NAMED:] else "")
            text = f"{note} (scenes: {len(scenes)}, {named})"
            self._bar.console.print(text, markup=False, soft_wrap=True)

    def list_left_out(self, reasons: Sequence[str]) -> None:
        """What `keep_going` left out, at the end."""
        for reason in reasons:
            self._bar.console.print(
                f"left out: {reason}", style="red", markup=False, soft_wrap=True
            )

    def _show(self, done_bytes: float) -> None:
        elapsed = time.perf_counter() - self._start
        rate = (done_bytes - self._skipped_bytes) / 1e6 / elapsed
        self._bar.update(
            self._task,
            completed=done_bytes,
            rate=f"{rate:.0f} MB/s",
            counts=f"{self._done_scenes}/{len(self._scenes)} scenes, {self._patches} patches",
        )


@contextmanager
def scene_progress(scenes: Sequence[SourceScene]) -> Iterator[SceneProgress]:
    """A progress bar over scenes, on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[counts]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield SceneProgress(bar, scenes)
