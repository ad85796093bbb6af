"""What JAX says of the folder that it keeps compiled programs in, in words for users."""

import re
from pathlib import Path
from typing import Final

import jax
from jax.experimental.compilation_cache import compilation_cache

_FAULT: Final = re.compile(
    r"Error (reading|writing) persistent compilation cache entry for '(.*?)': \w+: (.*)", re.DOTALL
)
"""Of `jax._src.compiler`; a test makes each."""


def cache_fault(warning: str) -> str | None:
    """What a warning of JAX's about that folder means; None = it is about something else.

    JAX would complain of a damaged program in each run and never write it anew, so the program's
    entries are deleted: the warning comes before they are written. Where nothing can be read or
    written, nothing is tried again in this process.
    """
    fault = _FAULT.fullmatch(warning)
    if fault is None:
        return None
    folder = Path(jax.config.values["jax_compilation_cache_dir"])
    doing, program, reason = fault.groups()
    try:
        entries = list(folder.glob(f"{program}-*-cache")) if doing == "reading" else []
        for entry in entries:
            entry.unlink(missing_ok=True)
    except OSError:
        entries = []
    if entries:
        return f"{folder}: a compiled program kept there was damaged: it is compiled anew"
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    return (
        f"{folder}: compiled programs cannot be kept there ({reason}), so each run compiles them "
        "anew: make it writable, or name another folder in JAX_COMPILATION_CACHE_DIR"
    )
