"""The directory that data sets of one name lie in, tried before hours of work."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile


@contextmanager
def writable(data_dir: Path, name: str) -> Iterator[Path]:
    """The directory `<data_dir>/<name>`, made for the time of `with`; left empty, it goes away.

    Args:
        data_dir: where data sets lie.
        name: of the data set.

    Raises:
        OSError: nothing can be written there, which is tried at once.
    """
    directory = data_dir / name
    try:
        _try(directory, data_dir)
        yield directory
    finally:
        for empty in (directory, data_dir):
            with suppress(OSError):  # It is not.
                empty.rmdir()


def _try(directory: Path, data_dir: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=directory).close()
    except OSError as error:
        reason = error.strerror or str(error)
        said = f"{data_dir}: cannot be written ({reason}): choose another data_dir"
        raise OSError(said) from error
