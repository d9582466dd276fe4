"""Process per connection: each has a forked child, which shares nothing with the others.

A socket pair joins a child to its parent, and nothing is ever said on it: that an end closes is
how each learns of the other's death, whatever it died of. Orders (to drain, to stop) lie in shared
memory, and SIGTERM tells a child to look there.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import mmap
import os
import signal
import socket
import sys
import time
import warnings
from typing import Any, NoReturn

from fastloop._ffi import check, lib
from fastloop.errors import FastloopError
from fastloop.models.acceptor import Crew
from fastloop.models.solo import Solo
from fastloop.runtime import Runtime

log = logging.getLogger("fastloop")

GRACE = 5.0
"""Seconds after the order to stop that a handler has to return, before its process is killed."""

_POLL = 0.005  # seconds between two looks whether children are dead, where nothing tells
_TOLD = (signal.SIGTERM, signal.SIGINT)
_DRAIN, _STOP = 1, 2


class Processes(Crew):
    """The children, by connection."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._children: dict[int, int] = {}
        self._order = memoryview(mmap.mmap(-1, 16)).cast("d")  # what to do, within what seconds
        # A child goes on in this thread alone, and in code that takes no lock of another.
        warnings.filterwarnings("ignore", r".*multi-threaded, use of fork", DeprecationWarning)

    def begin(self, listener: int, id: int, fd: int) -> None:
        """Starts a process. Raises OSError if there can be no more."""
        slot = self.board.slot(id)
        try:
            ours, theirs = socket.socketpair()
            with theirs, ours:
                pid = self._children[id] = self._fork(listener, fd, (ours, theirs), slot)
                self._hold(id, pid, ours)
        except BaseException:
            if id not in self._children:  # else it is released with its process
                self.board.release(id)
            raise
        os.close(fd)

    def _hold(self, id: int, pid: int, end: socket.socket) -> None:
        """Lets the loop watch a child; one that cannot be watched is to say nothing to its peer."""
        try:
            check(lib.fl_hold(self.acceptor.loop, id, end.fileno()), "watching a process")
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        end.detach()

    def _fork(
        self, listener: int, fd: int, leash: tuple[socket.socket, socket.socket], slot: Any
    ) -> int:
        """Forks. No signal comes before the child knows what to do about it."""
        flush()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD)
        try:
            pid = os.fork()
            if pid == 0:
                self._live(listener, fd, leash, slot, mask)
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    # -- in the parent --

    def ended(self, id: int) -> None:
        """The process of a connection closed its end: it is dead, or about to be."""
        if id in self._children and not self._reap(id):
            self.acceptor.call_later(_POLL, lambda: self.ended(id))

    def _reap(self, id: int) -> bool:
        """Whether it is dead; then nothing is left of it."""
        pid = self._children[id]
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # somebody waits for all children of this process
            found, status = pid, 0
        if found == 0:
            return False
        del self._children[id]
        self.board.release(id)
        if status != 0:
            log.error("process %d %s, and its connection is lost", pid, epitaph(status))
        return True

    def audience(self) -> list[Runtime]:
        """There is none: each connection is in a process of its own."""
        raise FastloopError(
            "a broadcast reaches no other process: use --model event-loop or thread-per-connection"
        )

    def drain(self, seconds: float) -> None:
        """All are to give their last replies, and to end within this time."""
        self._tell(_DRAIN, seconds)

    def _tell(self, what: int, seconds: float) -> None:
        self._order[1] = seconds
        self._order[0] = what
        for pid in self._children.values():
            os.kill(pid, signal.SIGTERM)  # not reaped, so it is no other's number

    def finish(self) -> None:
        """Ends all of them; one whose handler does not return is killed."""
        self._tell(_STOP, 0)
        if self._outlived(GRACE):
            for pid in self._children.values():
                log.error("process %d is killed: its handler did not return", pid)
                os.kill(pid, signal.SIGKILL)
            self._outlived(GRACE)

    def _outlived(self, seconds: float) -> bool:
        """Whether any child is alive after so many seconds."""
        deadline = time.monotonic() + seconds
        while self._children:
            for id in list(self._children):
                self._reap(id)
            if time.monotonic() > deadline:
                break
            if self._children:
                time.sleep(_POLL)
        return bool(self._children)

    # -- in the child --

    def _live(
        self,
        listener: int,
        fd: int,
        leash: tuple[socket.socket, socket.socket],
        slot: Any,
        mask: Any,
    ) -> NoReturn:
        """The life of a child. It never returns to what its parent was doing."""
        status = 1
        try:
            leash[0].close()  # or it would not notice the end of the parent
            gc.freeze()  # what is the parent's is not looked at: it would be copied by that
            solo = self._settle(listener)
            lib.fl_tell_stats(solo.loop, slot)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            solo.serve(fd, leash[1].fileno())
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            log.critical("the process of a connection ended", exc_info=True)
        finally:
            flush()
            os._exit(status)

    def _settle(self, listener: int) -> Solo:
        """Lets go of what is the parent's, and makes the one loop."""
        self.server.confine()
        of = self.assembly.listeners[listener]
        solo = Solo(self.server, self.assembly.config, self.assembly.services[listener], of)
        for each in self.assembly.listeners:  # only now: an application asks them for its address
            for sock in each.sockets:
                sock.close()
        self.assembly.runtimes[:] = [solo]
        signal.set_wakeup_fd(lib.fl_wake_fd(solo.loop), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: solo.post(self._obey, solo))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the parent decides, and tells
        return solo

    def _obey(self, solo: Solo) -> None:
        if self._order[0] == _STOP:
            solo.stop()
        else:
            told = self._order[0] == _DRAIN
            solo.drain(self._order[1] if told else self.assembly.config.drain_timeout)


def flush() -> None:
    """Empties the buffers of the standard streams: a child would write them once more."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def epitaph(status: int) -> str:
    """What waitpid() tells, in words."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
