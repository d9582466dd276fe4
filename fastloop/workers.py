"""Worker threads for handlers that block: ``blocking=N``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, get_ident
from typing import Protocol

Job = Callable[[], None]


class Works(Protocol):
    """What runs jobs that may wait; jobs of one connection run in order."""

    def submit(self, connection: int, job: Job, /) -> None:
        """Runs the job when the earlier ones of this connection are done."""


class Workers:
    """N threads that run jobs; jobs of one connection run one after the other, in order.

    So a pipelined ``SET x`` is over before the ``GET x`` behind it begins, while other connections
    go on in other threads.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="fastloop-worker")
        self._waiting: dict[int, deque[Job]] = {}  # of connections that have a job under way
        self._lock = Lock()
        self._threads: set[int] = set()

    def submit(self, connection: int, job: Job) -> None:
        """Runs the job when the earlier ones of this connection are done."""
        with self._lock:
            waiting = self._waiting.get(connection)
            if waiting is not None:
                waiting.append(job)
                return
            self._waiting[connection] = deque()
        self._pool.submit(self._run, connection, job)

    def has(self, ident: int) -> bool:
        """Whether this thread is one of them."""
        return ident in self._threads

    def _run(self, connection: int, job: Job | None) -> None:
        self._threads.add(get_ident())
        while job is not None:
            job()
            with self._lock:
                waiting = self._waiting[connection]
                job = waiting.popleft() if waiting else None
                if job is None:
                    del self._waiting[connection]

    def stop(self) -> None:
        """Lets running jobs finish without waiting for them; the others are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
