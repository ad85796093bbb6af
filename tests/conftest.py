"""What all tests share: compiled programs, the command line, property tests without a clock."""

import os
import sys

import numpy as np
import pytest
from hypothesis import settings

# The first call of a test compiles.
settings.register_profile("permjax", deadline=None, max_examples=30, print_blob=True)
settings.load_profile("permjax")


def pytest_configure(config: pytest.Config) -> None:
    """Compiled programs stay between runs, and out of the user's cache; before JAX is imported."""
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.cache.mkdir("compiled")))


@pytest.fixture
def dn() -> np.ndarray:
    """Digital numbers [N, H, W] of red, near infrared and thermal."""
    rng = np.random.default_rng(0)
    high = np.array([9_000, 9_000, 30_000])[:, None, None]
    return rng.integers(high // 2, high, (3, 12, 10)).astype(np.uint16)


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs a command line in this process: status, standard output, standard error."""
    from permjax.cli import main  # noqa: PLC0415  # After `pytest_configure`.

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["permjax", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        code = stopped.value.code
        assert "Traceback" not in err
        return (code if isinstance(code, int) else 1), out, " ".join(err.split())

    return run
