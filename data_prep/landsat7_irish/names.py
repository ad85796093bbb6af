"""Names of the files of Landsat 7 Irish: of what scene, day and part each is."""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Final

# Path, row and, of several scenes of one path and row, a number.
SCENE: Final = re.compile(r"p(\d{1,3})_r(\d{1,3})(?:_\d+)?", re.I)
# L71 or L72, path, row, row, year, month, day.
_FILE: Final = re.compile(
    r"L7[12](\d{3})(\d{3})_(\d{3})(\d{8})(?:_(B[1-578]0|B6[12]|MTL))?\.(?:TIF|txt)", re.I
)
LABEL: Final = re.compile(r".*(newmask2015|mask2019)\.TIF", re.I)
# As the files of those years call it, L71..., or since, LE7... or LE07...
_MTL: Final = re.compile(r"LE?0?7.*_MTL\.txt", re.I)


def part_of(basename: str) -> str | None:
    """What part of a scene a file is: "B10", "MTL", "MASK2019", ...; None = of none."""
    if match := _FILE.fullmatch(basename):
        return (match[5] or "").upper()
    if match := LABEL.fullmatch(basename):
        return match[1].upper()
    return "MTL" if _MTL.fullmatch(basename) else None


def days_of(basenames: Iterable[str]) -> set[str]:
    """The days, such as 20011112, that names of files tell."""
    return {match[4] for basename in basenames if (match := _FILE.fullmatch(basename))}


def path_and_row(name: str) -> tuple[int, int]:
    """Path and row of a scene, by its name."""
    scene = SCENE.fullmatch(name)
    assert scene is not None, name
    return int(scene[1]), int(scene[2])


def acquired_on(name: str, paths: Sequence[Path]) -> date:
    """The day that names of files tell, after a look that all are of one scene, the named one.

    Raises:
        ValueError: they are of another scene, or of several days; the message names the file.
        FileNotFoundError: there is no band.
    """
    place = path_and_row(name)
    days: dict[str, Path] = {}
    for path in paths:
        match = _FILE.fullmatch(path.name)
        label = SCENE.search(path.name)
        if match:
            days[match[4]] = path
            places = {(int(match[1]), int(match[2])), (int(match[1]), int(match[3]))}
        else:
            places = {(int(label[1]), int(label[2]))} if label else {place}
        if places != {place}:
            raise ValueError(f"{path}: is of another path and row than the scene {name}")
    if len(days) != 1:
        folder = paths[0].parent
        if not days:
            raise FileNotFoundError(f"{folder}: has a mask and no band, such as L71..._B10.TIF")
        listed = " and ".join(sorted(days))
        raise ValueError(f"{folder}: holds files of several days, {listed}: take some away")
    [(digits, path)] = days.items()
    try:
        return datetime.strptime(digits, "%Y%m%d").date()
    except ValueError:
        raise ValueError(f"{path}: the name is out of convention: {digits} is no day") from None
