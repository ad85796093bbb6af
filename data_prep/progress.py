"""The progress bar of packing and checking: scenes, patches and MB/s of what was fetched."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        self._bar = bar
        self._size_bytes = {scene.name: scene.size_bytes for scene in scenes}
        self._seen: dict[str, tuple[float, int]] = {}
        # Sums over all scenes, kept up as they change: there may be 20,000, told of thrice each.
        self._done_bytes = 0.0
        self._done_scenes = self._patches = 0
        self._task = bar.add_task(
            "", total=max(sum(self._size_bytes.values()), 1), rate="", counts="", start=False
        )
        self._skipped_bytes = self._start = 0.0

    def checking(self, scenes: Sequence[SourceScene]) -> Iterable[SourceScene]:
        """The scenes, with a bar of their own."""
        task = self._bar.add_task("checking", total=len(scenes), rate="", counts="")
        for index, scene in enumerate(scenes):
            counts = f"{index + 1}/{len(scenes)} scenes"
            self._bar.update(task, completed=index, counts=counts)
            yield scene
        self._bar.remove_task(task)

    def advance(self, scene: str, share: float, patches: int = 0) -> None:
        """Shows which share of a scene is read, and how many patches it has given."""
        if not self._start:
            self._start = time.perf_counter()
            self._bar.start_task(self._task)
        self._see(scene, share, patches)
        seconds = time.perf_counter() - self._start
        rate = (self._done_bytes - self._skipped_bytes) / 1e6 / max(seconds, 1e-3)
        self._bar.update(
            self._task,
            description=scene,
            completed=self._done_bytes,
            rate=f"{rate:.0f} MB/s",
            counts=f"{self._done_scenes}/{len(self._size_bytes)} scenes, {self._patches} patches",
        )

    def _see(self, scene: str, share: float, patches: int) -> None:
        share_before, patches_before = self._seen.get(scene, (0.0, 0))
        self._seen[scene] = share, patches
        self._done_bytes += self._size_bytes[scene] * (share - share_before)
        self._done_scenes += (share == 1) - (share_before == 1)
        self._patches += patches - patches_before

    def skip(self, scenes: Sequence[SourceScene], patches: int) -> None:
        """Scenes that an earlier run has packed, and how many patches they gave together."""
        for scene in scenes:
            self._see(scene.name, 1.0, 0)
            self._skipped_bytes += scene.size_bytes
        self._see(scenes[0].name, 1.0, patches)

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
