"""The table that says what the codes and tags of a folder's files mean."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.codes import bits_of
from data_prep.patches import SPLITS, assign_splits
from permjax.bands import Kind
from permjax.classes import CloudClass
from permjax.sensors import SENSORS, Sensor, read_sensor

DEFAULT_TABLE: Final = Path(__file__).with_name("default.toml")

Codes = Mapping[int, int]
"""Label bits of each code."""


@dataclass(frozen=True)
class Table:
    """What the codes and tags of a folder's files mean; `default.toml` describes each part."""

    path: Path
    scene: re.Pattern[str]
    gsd_m: re.Pattern[str]
    codes: Codes
    codes_without_shadow: Codes
    codes_with_thin: Codes
    sensors: Mapping[str, str]
    levels: tuple[tuple[re.Pattern[str], Kind], ...]
    splits: Mapping[str, str] | None
    """The split of each scene that the table names; None without such a part."""

    def scene_id(self, stem: str) -> str:
        """The scene of the image of this name."""
        match = self.scene.search(stem)
        return match[1] if match else stem

    def assign_splits(self, scene_ids: Iterable[str]) -> dict[str, str]:
        """The split of each scene: named by the table, the others train; or all dealt by share.

        Raises:
            ValueError: the table names a scene that is not there.
        """
        scene_ids = set(scene_ids)
        if self.splits is None:
            return assign_splits(scene_ids)
        absent = sorted(set(self.splits) - scene_ids)
        if absent:
            raise ValueError(
                f"[splits] of {self.path} names {absent[0]!r}, but there is no such scene with "
                f"labels; there are {', '.join(sorted(scene_ids))}"
            )
        return dict.fromkeys(scene_ids, "train") | dict(self.splits)

    def sensor(self, tag: str | None) -> Sensor:
        """The sensor that an image's tag `sensor` means.

        Raises:
            FileNotFoundError: the table names a TOML file for it that is not there.
            ValueError: the table does not know the tag, or there is a fault in the TOML file.
        """
        key = self.sensors.get(tag or "", tag)
        if key is not None and key.endswith(".toml"):
            return read_sensor(self.path.parent / key)
        if key is None or key not in SENSORS:
            raise ValueError(
                f"the tag sensor is {tag!r}, which names no sensor: add it to [sensors] of "
                f"{self.path}, as one that `permjax sensors` lists or as a TOML file of yours"
            )
        return SENSORS[key]

    def is_surface(self, level: str) -> bool:
        """Whether an image whose tag `level` says so holds surface reflectance.

        Raises:
            ValueError: no pattern of the table is found in the tag.
        """
        for pattern, kind in self.levels:
            if pattern.search(level):
                return kind == Kind.SURFACE_REFLECTANCE
        raise ValueError(
            f"the tag level is {level!r}, which does not tell reflectance at the top of the "
            f"atmosphere from that of the surface: add a pattern to [levels] of {self.path}"
        )

    def uses_thin(self, codes: set[int]) -> bool:
        """Whether one of these codes means thin cloud and nothing else."""
        return any(self.codes.get(code) == CloudClass.THIN_CLOUD.bit for code in codes)

    def label_bits(self, *, shadow_labelled: bool, thin_labelled: bool) -> NDArray[np.uint8]:
        """Label bits [256] of every code; those that the table does not name are 0."""
        codes = dict(self.codes)
        codes |= {} if shadow_labelled else self.codes_without_shadow
        codes |= self.codes_with_thin if thin_labelled else {}
        return bits_of(codes)


def read_table(path: Path = DEFAULT_TABLE) -> Table:
    """Reads a table of the form of `default.toml`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no TOML, lacks a part, or names what is not known.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such table; {DEFAULT_TABLE.name} shows one")
    try:
        parts = tomllib.loads(path.read_text(encoding="utf-8"))
        return _table(path, parts)
    except (tomllib.TOMLDecodeError, re.error, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _table(path: Path, parts: dict[str, Any]) -> Table:
    expected = ("scene", "gsd_m", "codes", "codes_without_shadow", "codes_with_thin")
    expected += ("sensors", "levels")
    missing, unknown = set(expected) - set(parts), set(parts) - {*expected, "splits"}
    if missing or unknown:
        raise ValueError(
            f"missing {sorted(missing)}, unknown {sorted(unknown)}; a table has the parts "
            f"{', '.join(expected)}"
        )
    return Table(
        path=path,
        scene=_pattern(parts["scene"]),
        gsd_m=_pattern(parts["gsd_m"]),
        codes=_codes(parts["codes"]),
        codes_without_shadow=_codes(parts["codes_without_shadow"]),
        codes_with_thin=_codes(parts["codes_with_thin"]),
        sensors=parts["sensors"],
        levels=tuple((re.compile(p), _reflectance(word)) for p, word in parts["levels"].items()),
        splits=_splits(parts["splits"]) if "splits" in parts else None,
    )


def _pattern(text: str) -> re.Pattern[str]:
    pattern = re.compile(text)
    if pattern.groups < 1:
        raise ValueError(f"the pattern {text!r} has no group in round brackets")
    return pattern


def _codes(entries: Mapping[str, list[str]]) -> Codes:
    known = {code.name.lower(): code.bit for code in CloudClass}
    codes = {}
    for code, words in entries.items():
        unknown = [word for word in words if word not in known]
        if not code.isdecimal() or int(code) > 255 or unknown:
            raise ValueError(
                f"{code} = {words}: codes are 0 to 255, and classes are {', '.join(known)}"
            )
        codes[int(code)] = sum(known[word] for word in set(words))
    return codes


def _splits(entries: Mapping[str, list[str]]) -> dict[str, str]:
    unknown = set(entries) - set(SPLITS)
    named = [(scene, split) for split, scenes in entries.items() for scene in scenes]
    if unknown or len(dict(named)) < len(named):
        raise ValueError(
            f"[splits] lists scenes for {', '.join(SPLITS)}, each scene once, not {dict(entries)}"
        )
    return dict(named)


def _reflectance(word: str) -> Kind:
    kinds = {kind.word: kind for kind in (Kind.REFLECTANCE, Kind.SURFACE_REFLECTANCE)}
    if word not in kinds:
        raise ValueError(f"the level {word!r} is none of {', '.join(kinds)}")
    return kinds[word]
