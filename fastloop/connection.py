"""A connection as handlers see it: a light handle, made on demand from an id."""

from __future__ import annotations

import asyncio
import os
from threading import get_ident
from typing import TYPE_CHECKING, Any

from fastloop._ffi import ffi, lib
from fastloop.crossing import MARK
from fastloop.errors import ConnectionClosed

if TYPE_CHECKING:
    from fastloop.runtime import Runtime
    from fastloop.server import Server

_ADDRESS_SIZE = 256


def check_topic(topic: str) -> None:
    """Raises TypeError for what is no topic."""
    if not isinstance(topic, str):
        raise TypeError(f"the topic {topic!r} is no str")


class Connection:
    """One peer. Handles are cheap, compare equal for the same connection, and are safe to keep.

    All methods may be called from any thread and after the connection is gone: then they raise
    ConnectionClosed, or, from a thread other than the connection's own, do nothing.
    """

    __slots__ = ("_runtime", "_ticket", "id")

    def __init__(self, runtime: Runtime, id: int, ticket: int = 0) -> None:
        self._runtime = runtime
        self.id = id
        self._ticket = ticket

    @property
    def server(self) -> Server:
        """The server that accepted it."""
        return self._runtime.server

    @property
    def closed(self) -> bool:
        """Whether it is closed, or closes as soon as everything is sent."""
        runtime = self._runtime
        return runtime.loop is None or not runtime.ask(runtime.is_open, self.id)

    @property
    def unsent(self) -> int:
        """Bytes that wait for the peer to take them."""
        return self._checked(self._runtime.ask(lib.fl_unsent, self._runtime.loop, self.id))

    @property
    def peer(self) -> str:
        """The peer's address: "127.0.0.1:50000", "[::1]:50000", or a Unix path (often "")."""
        return str(self._runtime.ask(self._address, 1))

    @property
    def local(self) -> str:
        """The address it connected to."""
        return str(self._runtime.ask(self._address, 0))

    @property
    def state(self) -> Any:
        """Anything a handler wants to keep for this connection; None until set."""
        return self._runtime.states.get(self.id)

    @state.setter
    def state(self, value: Any) -> None:
        runtime = self._runtime
        if get_ident() != runtime.thread:
            runtime.states[self.id] = value  # at once: another thread may get the next message
            runtime.call(self._watch)
            return
        if self.id not in runtime.states and not self._watch():
            raise ConnectionClosed("the connection is closed")
        runtime.states[self.id] = value

    def send(self, value: Any) -> None:
        """Sends a value, framed as a reply is.

        Within a handler it leaves after the replies of earlier messages and ahead of the handler's
        own. Raises ConnectionClosed if the connection is gone.
        """
        runtime = self._runtime
        if get_ident() == runtime.thread and not runtime.is_open(self.id):
            raise ConnectionClosed("the connection is closed")
        runtime.call(runtime.command, (MARK, lib.FL_SEND, self.id, self._ticket, value))

    def send_file(self, path: str | os.PathLike[str], offset: int = 0, count: int = -1) -> None:
        """Sends bytes of a file, in any protocol, without framing and without blocking the loop.

        ``count`` bytes from ``offset`` on; -1: to its end. The order is that of ``send``. If the
        file cannot be read, or ends before, the connection is closed.
        """
        if offset < 0 or count < -1:
            raise ValueError(f"offset={offset}, count={count}: they are not below 0, but for -1")
        self.send((MARK, lib.FL_PART, os.fsencode(path), offset, count))

    def close(self, *, abort: bool = False) -> None:
        """Closes once all is sent; with ``abort`` at once, with a reset. Twice is fine."""
        self._runtime.call(self._close, int(abort))

    def subscribe(self, topic: str) -> None:
        """From now on it gets what is published on this topic (``server.publish``); until it is
        gone, or unsubscribes. Twice is once. Raises TypeError for a topic that is no str.
        """
        check_topic(topic)
        self._runtime.call(self._runtime.command, (MARK, lib.FL_SUBSCRIBE, self.id, topic))

    def unsubscribe(self, topic: str) -> None:
        """Ends that. Raises TypeError for a topic that is no str."""
        check_topic(topic)
        self._runtime.call(self._runtime.command, (MARK, lib.FL_UNSUBSCRIBE, self.id, topic))

    async def drain(self) -> None:
        """Waits until no more than ``low_water`` bytes wait for the peer to take them.

        Raises ConnectionClosed if the connection is gone, also meanwhile.
        """
        loop = asyncio.get_running_loop()
        room: asyncio.Future[int] = loop.create_future()

        def keep(unsent: int) -> None:
            if not room.done():
                room.set_result(unsent)

        def told(unsent: int) -> None:
            loop.call_soon_threadsafe(keep, unsent)

        self._runtime.call(self._runtime.waits.room, self.id, 0, told)
        self._checked(await room)

    def pause(self) -> None:
        """Delivers no more messages of this connection, and stops reading, until ``resume()``."""
        self._runtime.call(self._runtime.command, (MARK, lib.FL_PAUSE, self.id, 1))

    def resume(self) -> None:
        """Goes on after ``pause()``."""
        self._runtime.call(self._runtime.command, (MARK, lib.FL_PAUSE, self.id, 0))

    def _close(self, abort: int) -> None:
        self._runtime.closing.add(self.id)
        self._runtime.command((MARK, lib.FL_CLOSE, self.id, abort))

    def _watch(self) -> bool:
        """Makes the state end with the connection. Ends it now, for False, if that is gone."""
        runtime = self._runtime
        if runtime.ask(lib.fl_unsent, runtime.loop, self.id) < 0:
            runtime.states.pop(self.id, None)
            return False
        runtime.command((MARK, lib.FL_WATCH, self.id))
        return True

    def _address(self, peer: int) -> str:
        out = ffi.new("char[]", _ADDRESS_SIZE)
        self._checked(lib.fl_address(self._runtime.loop, self.id, peer, out, _ADDRESS_SIZE))
        return ffi.string(out).decode("utf-8", "surrogateescape")

    def _checked(self, rc: int) -> int:
        if rc < 0:
            raise ConnectionClosed("the connection is closed")
        return rc

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Connection)
            and self.id == other.id
            and self._runtime is other._runtime
        )

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Connection {self.id:#x}>"
