"""The files of a product as it was fetched: in a folder, a zip or a tar archive."""

import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

_COMPRESSED: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ARCHIVES: Final = (".zip", ".tar", *_COMPRESSED)
"""Endings of archives that are read."""

_ENDINGS: Final = (".tif", ".tiff", ".jp2", ".xml", ".json", ".txt")
_FILE_BYTES: Final = 16 << 20
"""The most that is read of a file of metadata; those of products have less than 1 MB."""
_PRODUCT_BYTES: Final = 8 << 30
"""The most that is unpacked; the bands of a Landsat product have less than 3 GB."""
_FOLDERS: Final = ("*", "GRANULE/*/*", "GRANULE/*/IMG_DATA/*", "GRANULE/*/IMG_DATA/*/*")
_DAMAGED: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,  # a compression that Python does not read
    RuntimeError,  # a zip that asks for a password
)


class _TooLargeError(OSError):
    """There is more than a product has."""


@dataclass(frozen=True)
class ProductFiles:
    """The files of one product.

    Args:
        path: the folder or archive, for messages.
        names: of its files, with `/`.
        raster: what to open a file as, by its name.
        content: reads a small file, by its name; refuses a large one.
    """

    path: Path
    names: tuple[str, ...]
    raster: Callable[[str], str]
    content: Callable[[str], bytes]

    def where(self, name: str) -> str:
        """What a message calls a file."""
        return f"{self.path}/{name}"

    @property
    def sources(self) -> frozenset[Path]:
        """Its files on disk: all of a folder, or the archive."""
        if self.path.is_dir():
            return frozenset((self.path / name).resolve() for name in self.names)
        return frozenset({self.path.resolve()})


def product_files(path: Path, opening: ExitStack) -> ProductFiles:
    """The files of the product that a folder or an archive holds.

    Zip and tar archives are read in place. Compressed tar archives can only be read from their
    beginning, so they are unpacked to a temporary folder that `opening` removes.

    Raises:
        OSError: the archive is damaged, or unpacks to more than any product.
    """
    if path.is_dir():
        return _folder(path, path)
    with _naming_damage(path):
        if path.name.lower().endswith(".zip"):
            return _zip(path, opening)
        if path.name.lower().endswith(_COMPRESSED):
            folder = Path(opening.enter_context(tempfile.TemporaryDirectory(prefix="permjax_")))
            _unpack(path, folder)
            return _folder(path, folder)
        return _tar(path, opening)


def _folder(path: Path, folder: Path) -> ProductFiles:
    found = {file for pattern in _FOLDERS for file in folder.glob(pattern) if file.is_file()}
    names = tuple(sorted(file.relative_to(folder).as_posix() for file in found))

    def content(name: str) -> bytes:
        return _read(f"{path}/{name}", (folder / name).open("rb"))

    return ProductFiles(path, names, lambda name: str(folder / name), content)


def _zip(path: Path, opening: ExitStack) -> ProductFiles:
    archive = opening.enter_context(zipfile.ZipFile(path))
    names = tuple(sorted(info.filename for info in archive.infolist() if not info.is_dir()))

    def content(name: str) -> bytes:
        with _naming_damage(path):
            return _read(f"{path}/{name}", archive.open(name))

    return ProductFiles(path, names, lambda name: f"/vsizip/{{{path.resolve()}}}/{name}", content)


def _tar(path: Path, opening: ExitStack) -> ProductFiles:
    archive = opening.enter_context(tarfile.TarFile.open(path))
    # Some are called ./name, and GDAL leaves that out.
    files = (member for member in archive if member.isfile())
    members = {PurePosixPath(member.name).as_posix(): member for member in files}

    def content(name: str) -> bytes:
        with _naming_damage(path):
            return _read(f"{path}/{name}", _member(archive, members[name]))

    names = tuple(sorted(members))
    return ProductFiles(path, names, lambda name: f"/vsitar/{{{path.resolve()}}}/{name}", content)


def _read(where: str, file: IO[bytes]) -> bytes:
    with file:
        content = file.read(_FILE_BYTES + 1)
    if len(content) > _FILE_BYTES:
        raise _TooLargeError(
            f"{where}: has more than {_FILE_BYTES >> 20} MB, which no product's metadata have; "
            "fetch it again"
        )
    return content


def _unpack(path: Path, folder: Path) -> None:
    """Writes what a product's scene may need into the folder, without the archive's folders."""
    unpacked, room = 0, min(_PRODUCT_BYTES, shutil.disk_usage(folder).free)
    with tarfile.open(path) as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            if member.isfile() and name.lower().endswith(_ENDINGS):
                unpacked += member.size
                if unpacked > room:
                    raise _TooLargeError(
                        f"{path}: unpacks to more than {room / 1e9:.1f} GB, which is more than any "
                        f"product has or {folder.parent} has room for: unpack it elsewhere and "
                        "give the folder"
                    )
                with (folder / name).open("wb") as whole:
                    shutil.copyfileobj(_member(archive, member), whole, 1 << 20)


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    if file is None:
        raise tarfile.ReadError(f"{member.name} is no file")
    return file


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except _TooLargeError:
        raise
    except _DAMAGED as error:
        raise OSError(
            f"{path}: the archive is damaged, cut short or cannot be read ({error}); fetch it again"
        ) from None
