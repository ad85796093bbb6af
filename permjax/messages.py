"""What a person, or a script, at the command line is told: one line each, whoever still reads."""

import os
import sys
from pathlib import Path
from typing import TextIO


def say(line: str, stream: TextIO) -> None:
    """Writes a line; where nobody reads any more, it and all that follow go nowhere.

    What is told of is wanted all the same: `permjax mask ... | head -1` masks every scene.
    """
    try:
        print(line, file=stream, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def tell(sentence: object) -> None:
    """Something worth knowing, on standard error."""
    say(f"note: {sentence}", sys.stderr)


def warn(sentence: object) -> None:
    """Something that may be wrong, on standard error."""
    say(f"warning: {sentence}", sys.stderr)


def complain(sentence: object, path: Path | None = None) -> None:
    """What was wrong, on standard error, with the path of the scene that it was wrong with."""
    named = sentence if path is None or str(path) in str(sentence) else f"{path}: {sentence}"
    say(f"error: {named}", sys.stderr)
