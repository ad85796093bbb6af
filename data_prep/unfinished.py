"""A data set that is being packed: where its parts lie, and how they become a whole.

While it is under way, a data set lies in `<data_dir>/<name>/.unfinished`: `plan.json`, the settings
that the records follow from; `records/<config>/`, a file of records for each part; `journal/`, a
note for each part that is whole, written after it. A part without its note is written anew, so
nothing is lost or doubled, whenever the packer was stopped.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.directories import writable
from data_prep.patches import SPLITS, quiet_tfds
from data_prep.records import RecordsConfig, shard_name, write_info
from data_prep.sources import DataSet, SourceScene
from permjax.locks import locked


@dataclass(frozen=True, eq=False)
class Part:
    """Scenes of one split whose records are in one file, the `index`th of `count`."""

    config: str
    split: str
    index: int
    count: int
    scenes: tuple[SourceScene, ...]

    @property
    def name(self) -> str:
        """Of its note in the journal."""
        return f"{self.config}-{self.split}-{self.index:05}.json"


@dataclass
class Outcome:
    """What became of a part: kept in the journal, summed up in the metadata.

    Args:
        patches: how many records its file has.
        notes: of each scene that has any.
        left_out: why each scene was that was left out.
    """

    patches: int = 0
    notes: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


class Work:
    """The directories of a data set under way, and what they become."""

    def __init__(self, data_set: DataSet, data_dir: Path, plan: dict[str, Any]) -> None:
        self.data_set, self.data_dir, self.plan = data_set, data_dir, plan
        self.root = data_dir / data_set.name / ".unfinished"
        self.journal = self.root / "journal"
        version = plan["version"]
        self._final = {c: data_dir / data_set.name / c / version for c in sorted(plan["configs"])}

    @property
    def finals(self) -> list[Path]:
        """The directory of each config in the end."""
        return list(self._final.values())

    def is_done(self) -> bool:
        """Whether it is there already, complete.

        Raises:
            FileExistsError: it is there, or was begun, with other settings.
        """
        there = {path: _read_plan(path / "metadata.json") for path in self.finals if path.exists()}
        for path, plan in there.items():
            if plan != self.plan:
                raise FileExistsError(
                    f"{path}: was made with other settings or from other scenes"
                    f"{_difference(plan, self.plan)}: remove it, or choose another data_dir"
                )
        if len(there) == len(self.finals):
            shutil.rmtree(self.root, ignore_errors=True)  # All that a stop at the very end left.
            return True
        if self.root.exists():
            plan = _read_plan(self.root / "plan.json")
            if plan is not None and plan != self.plan:
                raise FileExistsError(
                    f"{self.root}: was begun with other settings or from other scenes"
                    f"{_difference(plan, self.plan)}: go on with those, or remove it"
                )
        return False

    def is_moved(self, config: str) -> bool:
        """Whether a config is in its place, as it may be after a stop at the very end."""
        return self._final[config].exists()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Makes the directories; after an error only whole parts are left, or nothing.

        Raises:
            BlockingIOError: another run is packing this data set.
            FileExistsError: another run, which ended since `is_done`, had other settings.
            OSError: `data_dir` cannot be written.
        """
        with (
            writable(self.data_dir, self.data_set.name) as directory,
            locked(
                directory / ".lock",
                f"{directory}: another run is packing this data set: wait for it, or stop it",
            ),
        ):
            self.is_done()  # Again: from here on nobody else writes.
            try:
                self._begin()
                yield
            except BaseException:
                self._tidy()
                raise

    def _begin(self) -> None:
        self.journal.mkdir(parents=True, exist_ok=True)
        for config in self.plan["configs"]:
            if not self.is_moved(config):
                (self.root / "records" / config).mkdir(parents=True, exist_ok=True)
        write_whole(self.root / "plan.json", {"plan": self.plan})

    def _tidy(self) -> None:
        for file in self.root.rglob("*.part"):
            file.unlink()
        if not self.journal.exists() or not any(self.journal.iterdir()):
            shutil.rmtree(self.root, ignore_errors=True)

    def outcome(self, part: Part) -> Outcome | None:
        """What became of a part that is whole; None = it is to be written."""
        note = self.journal / part.name
        if not note.exists():
            return None
        outcome = Outcome(**json.loads(note.read_text(encoding="utf-8")))
        if outcome.left_out:  # A file may have been fetched again since.
            note.unlink()
            return None
        return outcome

    def note(self, part: Part, outcome: Outcome) -> None:
        """Notes that a part is whole."""
        write_whole(self.journal / part.name, vars(outcome))

    def path(self, part: Part) -> Path:
        """Where the records of a part are."""
        name = shard_name(self.data_set.name, part.split, part.index, part.count)
        return self.root / "records" / part.config / name

    def finish(
        self, parts: Sequence[Part], outcomes: Mapping[Part, Outcome], faults: Sequence[str]
    ) -> None:
        """Adds what TFDS reads and moves each config to its place.

        Raises:
            ValueError: there is no record at all.
        """
        if parts and not any(outcome.patches for outcome in outcomes.values()):
            shutil.rmtree(self.journal)
            reasons = [reason for o in outcomes.values() for reason in o.left_out.values()]
            reason = (reasons or faults or ["no pixel is labelled"])[0]
            raise ValueError(f"{self.data_set.name}: no scene can be used: {reason}")
        for config in sorted({part.config for part in parts}):
            directory, final = self.root / "records" / config, self._final[config]
            mine = [part for part in parts if part.config == config]
            self._describe(directory, mine, outcomes, faults)
            final.parent.mkdir(parents=True, exist_ok=True)
            directory.rename(final)
        shutil.rmtree(self.root)

    def _describe(
        self,
        directory: Path,
        parts: Sequence[Part],
        outcomes: Mapping[Part, Outcome],
        faults: Sequence[str],
    ) -> None:
        config = parts[0].config
        metadata = {
            "sensor": self.plan["configs"][config],
            "plan": self.plan,
            "notes": by_note(merged(outcomes[part].notes for part in parts)),
            "left_out": [
                *faults,
                *merged(outcomes[part].left_out for part in parts).values(),
            ],
        }
        with quiet_tfds():
            builder = self.data_set.builder(
                data_dir=self.data_dir, config=RecordsConfig(name=config, metadata=metadata)
            )
        in_order = sorted(parts, key=lambda part: part.index)
        lengths = {s: [outcomes[p].patches for p in in_order if p.split == s] for s in SPLITS}
        for part in in_order:
            if not any(lengths[part.split]):  # A split without records is not there.
                self.path(part).unlink(missing_ok=True)
        write_info(builder, directory, {s: lengths[s] for s in SPLITS if any(lengths[s])})


def merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries of all, by scene."""
    return {name: value for part in parts for name, value in part.items()}


def by_note(notes: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """For each note the scenes that it is true of."""
    scenes: dict[str, list[str]] = {}
    for name in sorted(notes):
        for note in notes[name]:
            scenes.setdefault(note, []).append(name)
    return scenes


def _read_plan(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["plan"]
    except (OSError, ValueError, KeyError):
        return None


def _difference(plan: dict[str, Any] | None, asked: dict[str, Any]) -> str:
    """The settings in which a plan differs, for an error."""
    words = [
        f"{name} {plan[name]}, not {asked[name]}"
        for name in ("version", "patch_size", "stride", "scenes")
        if plan and plan.get(name) != asked[name]
    ]
    return f" ({'; '.join(words)})" if words else ""


def write_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON that is never there in part."""
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")
    unfinished.replace(path)
