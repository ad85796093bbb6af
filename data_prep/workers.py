"""Parts written by two processes, which stop with the first."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from queue import Empty
from threading import Event as ThreadEvent
from threading import Thread
from typing import Final

from data_prep.parts import Advance, Packer
from data_prep.unfinished import Outcome, Part

PROCESSES: Final = 2
"""Each takes about 300 MB, and the disk rarely feeds more. Threads would not do: while a record is
compressed, a third of the work, no other thread of Python runs."""

WORTH_BYTES: Final = 50_000_000
"""Of scenes, from which on other processes are started: that takes a second or two."""

Given = tuple[Packer, Sequence[Part], Advance]


def write_parts(packer: Packer, parts: Sequence[Part], advance: Advance) -> dict[Part, Outcome]:
    """What became of each part; the first that fails stops all.

    Raises:
        SceneFault: a scene cannot be used.
        OSError: the disk is full, or the system ended a process.
    """
    size_bytes = sum(scene.size_bytes for part in parts for scene in part.scenes)
    if size_bytes < WORTH_BYTES:
        return {part: packer.write(part, advance) for part in parts}
    # Spawned, not forked: a fork of a process in which JAX runs can hang.
    context = multiprocessing.get_context("spawn")
    said, stop = context.Queue(), context.Event()
    begin = partial(_begin, packer, parts, said, stop)
    with _passed_on(said, advance), ProcessPoolExecutor(PROCESSES, context, begin) as pool:
        try:
            written = {part: pool.submit(_write, index) for index, part in enumerate(parts)}
            wait(written.values(), return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # All are done, or one failed, or the user wants no more.
            pool.shutdown(cancel_futures=True)
    try:
        for outcome in written.values():
            with suppress(CancelledError):
                outcome.result()  # Raises what went wrong first, where something did.
        return {part: outcome.result() for part, outcome in written.items()}
    except BrokenProcessPool:
        raise OSError(
            "the system ended a process that packs, perhaps for lack of memory: the same command "
            "goes on"
        ) from None


@contextmanager
def _passed_on(said: Queue, advance: Advance) -> Iterator[None]:
    """Tells `advance` what the processes say."""
    ended = ThreadEvent()

    def listen() -> None:
        while True:
            try:
                advance(*said.get(timeout=0.1))
            except Empty:
                if ended.is_set():
                    return

    listener = Thread(target=listen)
    listener.start()
    try:
        yield
    finally:
        ended.set()
        listener.join()


# --- In each process ------------------------------------------------------------------------


def _begin(packer: Packer, parts: Sequence[Part], said: Queue, stop: Event) -> None:
    # Ctrl-C reaches all processes; the first one tells the others to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()

    def advance(*event: object) -> None:
        if stop.is_set():
            raise CancelledError
        said.put(event)

    global _given  # noqa: PLW0603  # The only place for what is sent to a process once.
    _given = packer, parts, advance


def _write(index: int) -> Outcome:
    packer, parts, advance = _given
    return packer.write(parts[index], advance)


def _end_with_parent() -> None:
    """Not to write on, unlocked and unheard, where the first process was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


_given: Given
