"""Computing what is missing of a store, in this process or in several, with its progress told."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from gdnp.design.threads import available_cores
from gdnp.store import Part, Store


class Stopped(KeyboardInterrupt):
    """Ctrl-C during a run of which `done` parts of `total` are saved in `directory`."""

    def __init__(self, directory: Path, done: int, total: int) -> None:
        super().__init__(f"{done} of {total} parts are saved in {directory}")
        self.directory, self.done, self.total = directory, done, total


class Reporter:
    """Who is told how a run goes, and says nothing; ``gdnp.cli`` shows it."""

    def message(self, text: str) -> None:
        """One sentence."""

    def progress(
        self, title: str, total: float, done: float
    ) -> AbstractContextManager[Callable[[str, float], None]]:
        """A bar of `total` units of work, `done` of them from before; yields (part name, units) -> None."""
        return nullcontext(lambda name, cost: None)


def computed(
    title: str, parts: Sequence[Part], store: Store, workers: int | None, reporter: Reporter
) -> dict[str, dict[str, Any]]:
    """The results of all parts by name, those that are not in the store computed and saved."""
    results = store.results(parts)
    missing = [part for part in parts if part.name not in results]
    if not missing:
        return results
    if results:
        reporter.message(f"Going on from {len(results)} finished parts of {len(parts)}.")
    store.parts.mkdir(parents=True, exist_ok=True)
    done = sum(part.cost for part in parts if part.name in results)
    total = sum(part.cost for part in parts)
    workers = min(available_cores() if workers is None else workers, len(missing))
    compute = _in_turn if workers == 1 else _in_processes
    try:
        with (
            reporter.progress(title, total, done) as advance,
            closing(compute(missing, results, workers)) as computed,
        ):
            for part, result in computed:
                results[part.name] = store.save(part, result)
                advance(part.name, part.cost)
    except KeyboardInterrupt:
        # Counted where they are: the interrupt may have come between saving a part and noting it.
        saved = sum((store.parts / part.filename).is_file() for part in parts)
        raise Stopped(store.directory, saved, len(parts)) from None
    return results


Computed = Generator[tuple[Part, dict[str, Any]], None, None]


def _in_turn(missing: Sequence[Part], results: Mapping[str, Any], workers: int) -> Computed:
    """Compute the parts in their order, which has needed ones first."""
    for part in missing:
        yield part, part.function(part.config, *(results[needed.name] for needed in part.needs))


def _in_processes(missing: Sequence[Part], results: Mapping[str, Any], workers: int) -> Computed:
    """Compute the parts as soon as what they need is there, the longest first."""
    waiting = sorted(missing, key=lambda part: -part.cost)
    running: dict[Future[dict[str, Any]], Part] = {}
    others = set(multiprocessing.active_children())
    # Spawned, not forked: a fork of a process with threads may hang.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        while waiting or running:
            ready = [part for part in waiting if all(needed.name in results for needed in part.needs)]
            with _ignored_interrupt():
                for part in ready:
                    needed = [results[need.name] for need in part.needs]
                    running[pool.submit(part.function, part.config, *needed)] = part
            waiting = [part for part in waiting if part not in ready]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BaseException:
        started = set(multiprocessing.active_children()) - others
        for child in started:
            child.terminate()
        for child in started:  # one that lives on for a moment would miss what this process takes away
            child.join()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _ignored_interrupt() -> Iterator[None]:
    """Let processes start deaf to Ctrl-C, which goes to all of a terminal: their parent ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end_with_parent() -> None:
    """Leave no worker behind when the parent is killed outright."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
