"""The command line: `permjax sensors`, `permjax mask`; and how commands tell of errors."""

import functools
import sys
from collections.abc import Callable


def report_errors(command: Callable[[], None]) -> Callable[[], None]:
    """Turn errors of a command's input into one sentence on standard error and exit status 1."""

    @functools.wraps(command)
    def run() -> None:
        try:
            command()
        except (ValueError, OSError, ArithmeticError) as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("stopped")

    return run
