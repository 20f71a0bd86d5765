"""Work for a few threads, first come, first served, with a bound on what may wait."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Callable, Optional, TypeVar

from sentilora.errors import SentiloraError

T = TypeVar("T")


class OverloadedError(SentiloraError):
    """So much waits already that nothing more is taken."""


@dataclass(frozen=True)
class _Job:
    work: Callable[[], Any]
    cost: int
    future: Future[Any]


class Scheduler:
    """Worker threads that take what waited longest.

    Args:
        workers: How many threads.
        capacity: Most cost that may wait; None means no bound. A job that finds nothing waiting is always taken.

    Attributes:
        workers: The same.
    """

    def __init__(self, workers: int, capacity: Optional[int] = None) -> None:
        self.workers = workers
        self._capacity = capacity
        self._waiting: deque[_Job] = deque()
        self._queued = 0
        self._running = 0
        self._closed = False
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []  # begin with the first job

    @property
    def queued(self) -> int:
        """The cost that waits now."""
        return self._queued

    @property
    def alone(self) -> bool:
        """Whether one job runs at most, and none waits: it may have every core."""
        return self._running <= 1 and not self._queued

    def submit(self, work: Callable[[], T], cost: int) -> Future[T]:
        """Have `work` done by the next free thread; cancelling the future before that frees its place.

        Args:
            work: What to do.
            cost: In the unit of the capacity; tokens, for texts.

        Raises:
            OverloadedError: More waits already than may.
        """
        job = _Job(work, cost, Future())
        with self._changed:
            if self._closed:
                raise RuntimeError("the scheduler is closed")
            if self._capacity is not None and self._queued and self._queued + cost > self._capacity:
                raise OverloadedError(f"{self._queued:,} tokens are waiting already: try again later")
            self._queued += cost
            self._waiting.append(job)
            self._changed.notify()
            while len(self._threads) < self.workers:
                self._threads.append(threading.Thread(target=self._work, daemon=True))
                self._threads[-1].start()
        job.future.add_done_callback(lambda future: self._count(-cost, 0) if future.cancelled() else None)
        return job.future

    def close(self) -> None:
        """Take nothing more, and return when all that was taken is done."""
        self.retire()
        for thread in self._threads:
            thread.join()

    def retire(self) -> None:
        """Take nothing more; the threads end when all that was taken is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def begin_anew(self) -> None:
        """In a forked process, which has none of the threads: what waits is the parent's to do."""
        self._waiting, self._queued, self._running = deque(), 0, 0
        self._changed = threading.Condition()
        self._threads = []

    def _count(self, queued: int, running: int) -> None:
        with self._changed:
            self._queued += queued
            self._running += running

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                job = self._waiting.popleft()
            if not job.future.set_running_or_notify_cancel():
                continue
            self._count(-job.cost, 1)
            report: Callable[[Any], None]
            try:
                report, outcome = job.future.set_result, job.work()
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
                report, outcome = job.future.set_exception, error
            self._count(0, -1)
            report(outcome)
            del job, report, outcome
