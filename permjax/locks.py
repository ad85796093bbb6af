"""Lock files: who uses what lies beside them, known for as long as the process lives."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, in_use: str) -> Iterator[None]:
    """Holds a lock file for the time of `with`; a process that dies lets go of it.

    Args:
        path: of the file, which is made and goes away.
        in_use: what the error says.

    Raises:
        BlockingIOError: another process holds it.
    """
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(in_use) from None
        if os.fstat(file.fileno()).st_nlink == 0:  # Its holder ended between the last two steps.
            raise BlockingIOError(in_use)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
