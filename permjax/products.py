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


@dataclass(frozen=True)
class ProductFiles:
    """The files of one product.

    Args:
        path: the folder or archive, for messages.
        names: of its files, with `/`.
        raster: what to open a file as, by its name.
        content: reads a small file, by its name.
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
        OSError: the archive is damaged.
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
    return ProductFiles(
        path, names, lambda name: str(folder / name), lambda name: (folder / name).read_bytes()
    )


def _zip(path: Path, opening: ExitStack) -> ProductFiles:
    archive = opening.enter_context(zipfile.ZipFile(path))
    names = tuple(sorted(info.filename for info in archive.infolist() if not info.is_dir()))

    def content(name: str) -> bytes:
        with _naming_damage(path):
            return archive.read(name)

    return ProductFiles(path, names, lambda name: f"/vsizip/{{{path.resolve()}}}/{name}", content)


def _tar(path: Path, opening: ExitStack) -> ProductFiles:
    archive = opening.enter_context(tarfile.TarFile.open(path))
    # Some are called ./name, and GDAL leaves that out.
    files = (member for member in archive if member.isfile())
    members = {PurePosixPath(member.name).as_posix(): member for member in files}

    def content(name: str) -> bytes:
        with _naming_damage(path):
            return _member(archive, members[name]).read()

    names = tuple(sorted(members))
    return ProductFiles(path, names, lambda name: f"/vsitar/{{{path.resolve()}}}/{name}", content)


def _unpack(path: Path, folder: Path) -> None:
    """Writes what a product's scene may need into the folder, without the archive's folders."""
    with tarfile.open(path) as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            if member.isfile() and name.lower().endswith(_ENDINGS):
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
    except _DAMAGED as error:
        raise OSError(
            f"{path}: the archive is damaged, cut short or cannot be read ({error}); fetch it again"
        ) from None
