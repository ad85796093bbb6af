"""What every builder does with a fault: it stops and leaves nothing, or leaves the scene out."""

from pathlib import Path
from typing import Any

import pytest
from built import metadata, read_all

from data_prep.packing import pack
from data_prep.sources import data_set


def stops(name: str, source: Path, data_dir: Path, message: str, **options: Any) -> str:
    """What a build says that stops: it names a file of its source, and leaves no data set."""
    with pytest.raises(ValueError, match=message) as stop:
        pack(data_set(name), source, data_dir, **options)
    assert str(source) in str(stop.value)
    assert not list(data_dir.rglob("dataset_info.json"))
    assert not list(data_dir.rglob("*.part"))
    return str(stop.value)


def left_out(
    name: str,
    source: Path,
    data_dir: Path,
    message: str,
    capsys: pytest.CaptureFixture[str],
    **options: Any,
) -> set[str]:
    """The scenes that are packed without the one that stops the build, whose fault is told."""
    said = stops(name, source, data_dir, message, **options)
    directories = pack(data_set(name), source, data_dir, keep_going=True, **options)
    assert {reason for path in directories for reason in metadata(path)["left_out"]} == {said}
    assert f"left out: {said}" in capsys.readouterr().err
    return {one["scene_id"].decode() for path in directories for one in read_all(path)}
