"""What JAX says of its folder of compiled programs, in words for users."""

import warnings

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from permjax.program_cache import cache_fault

SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_enable_compilation_cache",
    "jax_persistent_cache_min_compile_time_secs",
)


@pytest.fixture
def folder(tmp_path):
    """Where all programs are kept, however fast they compile."""
    before = {name: jax.config.values[name] for name in SETTINGS}
    values = (str(tmp_path / "programs"), True, 0.0)
    for name, value in zip(SETTINGS, values, strict=True):
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield tmp_path / "programs"
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def complaints() -> list[str | None]:
    """What is said when a program is compiled in a new run, or fetched from the folder."""

    def program(x):
        return x * 3 + 1

    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # As the command line does it: while JAX is at it.
        warnings.showwarning = lambda message, *_: said.append(cache_fault(str(message)))
        assert jax.jit(program)(2.0) == 7
    return said


def test_a_damaged_program_is_told_of_once_and_written_anew(folder):
    assert complaints() == []
    (entry,) = folder.glob("jit_program-*-cache")
    for damage in (b"", entry.read_bytes()[:100], b"x" * 1000):
        entry.write_bytes(damage)
        (told,) = complaints()
        assert told == f"{folder}: a compiled program kept there was damaged: it is compiled anew"
        assert complaints() == []
        assert len(entry.read_bytes()) > 1000


def test_a_folder_that_is_none_is_told_of_once_in_a_run(folder):
    folder.write_text("a file")
    (told,) = complaints()
    assert told is not None
    assert told.startswith(f"{folder}: compiled programs cannot be kept there (")
    assert told.endswith("name another folder in JAX_COMPILATION_CACHE_DIR")
    assert complaints() == []


def test_a_folder_that_cannot_be_written_is_told_of_once_in_a_run(folder, monkeypatch):
    def refused(*_, **__):  # A test that runs as root cannot be refused by the system itself.
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("jax._src.lru_cache.LRUCache.put", refused)
    (told,) = complaints()
    assert told is not None
    assert "cannot be kept there ([Errno 13] Permission denied)" in told
    assert complaints() == []


def test_other_warnings_are_left_alone():
    assert cache_fault("bands without any data were left out: 490 nm") is None
