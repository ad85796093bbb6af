import io
from contextlib import AbstractContextManager
from types import MappingProxyType

from rich.console import Console

from data_prep import progress
from data_prep.sources import OpenScene, SourceScene


def scene(index: int) -> SourceScene:
    def opened() -> AbstractContextManager[OpenScene]:
        raise AssertionError("the bar opens no scene")

    return SourceScene(f"s{index}", f"s{index}", "landsat8_oli_tirs", 1_000_000, opened)


EVENTS = MappingProxyType({"s1": ((0.0, 0), (0.5, 2), (1.0, 5)), "s2": ((0.25, 1), (0.0, 0))})
"""Shares and patches told of two scenes; the second begins anew."""


def test_the_bar_sums_scenes_patches_and_megabytes(monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, width=200, force_terminal=True)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    now = iter(range(100))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: float(next(now)))
    scenes = [scene(i) for i in range(4)]
    with progress.scene_progress(scenes) as bar:
        bar.skip(scenes[:1], 7)
        for name, events in EVENTS.items():
            for share, patches in events:
                bar.advance(name, share, patches)
        [task] = bar._bar.tasks
        # The scene that was skipped counts, but not as read: 1 MB was, in 5 s.
        assert task.completed == 2_000_000
        assert task.fields["counts"] == "2/4 scenes, 12 patches"
        assert task.fields["rate"] == "0 MB/s"
        bar.advance("s2", 1.0, 1)
        bar.advance("s3", 1.0, 1)
        assert task.completed == task.total == 4_000_000
    assert "4/4 scenes, 14 patches" in screen.getvalue()
