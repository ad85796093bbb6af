"""Files of a data set as they were fetched: in folders, or in archives that stay packed.

An archive is listed once and never unpacked whole: the files of one scene are unpacked to a
temporary folder and go away with it. Windows of a compressed file cannot be read in place in
reasonable time. Large scenes need that much space where `TMPDIR` points.
"""

import lzma
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from permjax.locks import locked

_SCRATCH: Final = "permjax_"
_NEVER: Final = re.compile(r"(?!)")
_SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_DAMAGED: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    UnicodeDecodeError,
)


@dataclass(frozen=True)
class SourceFile:
    """A file of a data set, on disk or in an archive; as text, what a message calls it.

    Args:
        name: its path below the source or in the archive, with `/`.
        path: the file, or the archive that holds it.
        size_bytes: of the file, unpacked.
        archive: that holds it; None = it lies on disk.
    """

    name: str
    path: Path
    size_bytes: int
    archive: "Archive | None" = None

    @property
    def basename(self) -> str:
        """The last part of its name."""
        return PurePosixPath(self.name).name

    @property
    def folder(self) -> str:
        """Its name without the last part; "." at the top."""
        return str(PurePosixPath(self.name).parent)

    def __str__(self) -> str:
        return f"{self.path}/{self.name}" if self.archive else str(self.path)


class Archive:
    """A zip or tar archive of any compression, listed when first used.

    Files that are asked for in the order of the archive are read in one pass.

    Args:
        path: of the archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, Any] = {}
        self._open: zipfile.ZipFile | tarfile.TarFile | None = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_open": None}  # Sent to another process, it is opened there.

    def __del__(self) -> None:
        # It stays open for the scenes found in it, in the place where the last one ended.
        if self._open is not None:
            self._open.close()

    def files(self) -> Iterator[SourceFile]:
        """Its files, in their order, as far as it can be read.

        Raises:
            OSError: it is damaged or cut short; what came before can be used.
        """
        with _naming_damage(self.path):
            for raw_name, size_bytes, member in self._listed():
                name = PurePosixPath(raw_name).as_posix()  # Some are called ./name.
                self._members[name] = member
                yield SourceFile(name, self.path, size_bytes, self)

    def unpack(self, name: str, target: Path) -> None:
        """Writes one of its files to `target`.

        Raises:
            OSError: the archive is damaged there.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            target.open("wb") as whole,
            _naming_damage(self.path),
            self._member(name) as packed,
        ):
            shutil.copyfileobj(packed, whole, 1 << 20)

    def _listed(self) -> Iterator[tuple[str, int, Any]]:
        archive = self._opened()
        if isinstance(archive, zipfile.ZipFile):
            return ((i.filename, i.file_size, i) for i in archive.infolist() if not i.is_dir())
        return ((i.name, i.size, i) for i in archive if i.isfile())

    def _member(self, name: str) -> IO[bytes]:
        archive = self._opened()
        if isinstance(archive, zipfile.ZipFile):
            return archive.open(self._members[name])
        # Not by name: tarfile would then list the archive to its end, which may be cut off.
        packed = archive.extractfile(self._members[name])
        assert packed is not None, name  # Only regular files are listed.
        return packed

    def _opened(self) -> zipfile.ZipFile | tarfile.TarFile:
        if self._open is None:
            opened_by = zipfile.ZipFile if self.path.suffix.lower() == ".zip" else tarfile.open
            self._open = opened_by(self.path)
        return self._open


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # The disk's own fault, such as no space.
        raise OSError(
            f"{path}: the archive is damaged or cut short ({error}); fetch it again"
        ) from None
    except RuntimeError as error:  # A compression that Python has not, or a password.
        raise OSError(
            f"{path}: the archive cannot be read packed ({error}); unpack it and give its folder"
        ) from None


def find_files(
    source: Path, closed: re.Pattern[str] = _NEVER
) -> tuple[list[SourceFile], list[str]]:
    """All files below a folder, those in archives included, and the faults of archives.

    Hidden files, and those that macOS adds, are left out.

    Args:
        source: a folder, or one archive.
        closed: archives whose name this pattern finds are not listed (a compressed tar is read to
            its end for that) but returned as the files that they are.

    Returns:
        files, folders in the order of their names and archives in their own; one sentence for each
        archive that cannot be read to its end.

    Raises:
        FileNotFoundError: there is no such folder or archive.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: there is no such folder or archive")
    files: list[SourceFile] = []
    faults: list[str] = []
    root = source if source.is_dir() else source.parent
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if not path.is_file():
            continue
        found = SourceFile(path.relative_to(root).as_posix(), path, path.stat().st_size)
        if not path.name.lower().endswith(_SUFFIXES) or closed.search(path.name):
            files.append(found)
        elif found.size_bytes == 0:
            faults.append(_empty(found))
        else:
            before = len(files)
            try:
                files.extend(Archive(path).files())
                if len(files) == before:  # As where a download reserved space and then stopped.
                    faults.append(f"{found}: the archive holds no file; fetch it again")
            except OSError as error:
                faults.append(str(error))
    return [file for file in files if not _is_hidden(file.name)], faults


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _empty(file: SourceFile) -> str:
    return f"{file}: is empty (0 bytes); fetch it again"


@contextmanager
def on_disk(files: Sequence[SourceFile]) -> Iterator[list[Path]]:
    """A path for each file: its own, or that of a copy unpacked for the time of `with`.

    Copies keep their names below one folder. Messages of errors inside `with` name the archive.

    Raises:
        OSError: a file is empty, or its archive damaged.
    """
    with ExitStack() as stack:
        paths = []
        folders: dict[Archive, Path] = {}
        for file in files:
            if file.size_bytes == 0:
                raise OSError(_empty(file))
            if file.archive is None:
                paths.append(file.path)
                continue
            if file.archive not in folders:
                folders[file.archive] = stack.enter_context(_scratch(file.path))
            paths.append(_inside(folders[file.archive], file.name, file.path))
            file.archive.unpack(file.name, paths[-1])
        yield paths


@contextmanager
def unpacked(path: Path) -> Iterator[list[SourceFile]]:
    """The files of an archive of one scene, unpacked in one pass for the time of `with`.

    Messages of errors inside `with` name the archive.

    Raises:
        OSError: it is empty, damaged or cut short.
    """
    if path.stat().st_size == 0:
        raise OSError(f"{path}: is empty (0 bytes); fetch it again")
    with _scratch(path) as folder:
        archive = Archive(path)
        files = []
        for file in archive.files():
            target = _inside(folder, file.name, path)
            archive.unpack(file.name, target)
            files.append(SourceFile(file.name, target, file.size_bytes))
        yield files


def _inside(folder: Path, name: str, archive: Path) -> Path:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise OSError(f"{archive}: {name} would be unpacked outside its folder: do not use it")
    return target


def remove_abandoned() -> None:
    """Removes what processes that were killed have left unpacked."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*.lock"):
        with suppress(OSError), locked(lock, "its process lives"):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)


@contextmanager
def _scratch(archive: Path) -> Iterator[Path]:
    """A temporary folder; errors that name it are made to name the archive."""
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH)).resolve()
    with locked(folder.with_suffix(".lock"), f"{folder}: is in use"):
        try:
            yield folder
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            said = str(error)
            if str(folder) not in said:
                raise
            raise OSError(said.replace(str(folder), str(archive))) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
