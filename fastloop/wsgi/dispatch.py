"""How an application that blocks is run: each request in a worker thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib
from fastloop.crossing import FAULT, MARK, of_exception
from fastloop.http.promise import CHUNK
from fastloop.workers import Workers
from fastloop.wsgi.answer import Answers, Message
from fastloop.wsgi.body import Returned
from fastloop.wsgi.place import Place
from fastloop.wsgi.start import Start

if TYPE_CHECKING:
    from fastloop.route import Route
    from fastloop.runtime import Runtime


class InThreads:
    """Hands requests to workers; those of one connection run one after the other."""

    def __init__(self, answers: Answers, workers: Workers) -> None:
        self._answers = answers
        self._workers = workers

    def __call__(
        self, runtime: Runtime, route: Route, ids: list[int] | None, items: list[Message]
    ) -> None:
        """Promises a response to every request of the batch."""
        for message in items:
            place = Place(runtime, message[2])
            runtime.reply(place.later)
            self._workers.submit(message[2], self._job(message, place, route.name))

    def _job(self, message: Message, place: Place, name: str) -> Callable[[], None]:
        def job() -> None:
            environ = self._answers.environ(message)
            sending = Sending(place)
            try:
                self._run(environ, sending)
            except Exception as error:
                reply = self._answers.failed(environ, place.id, error)
                place.keep(FAULT if sending.start.begun else reply)
            except BaseException as error:  # sys.exit() ends no worker: later requests need it
                place.keep(of_exception(error, name))

        return job

    def _run(self, environ: dict[str, Any], sending: Sending) -> None:
        start = sending.start
        result = self._answers.app(environ, start.start)
        returned = Returned(environ, start, result)
        try:
            if start.begun:  # by write()
                returned.source = iter(result)
                sending.rest(returned)
                return
            part = returned.part()
            first = b"" if part is not None else returned.whole()
            if type(first) is tuple:
                sending.place.keep(first)
                return
            if not start.code:
                raise RuntimeError("the application did not call start_response()")
            sending.place.begin(start)
            if part is not None:
                sending.file((MARK, lib.FL_PART, *part), returned)
            else:
                sending.put(first)
                sending.rest(returned)
        finally:
            returned.close()


class Sending:
    """A response that a worker thread sends in pieces, no faster than the peer takes them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.start = Start(self.put)
        self._gone = False
        self._asked = 0  # bytes since somebody asked for room

    def put(self, piece: bytes) -> None:
        """Sends one piece; the head before the first. Waits, now and then, until there is room."""
        if not self.start.code:
            raise RuntimeError("the application did not call start_response()")
        if not piece or self._gone:
            return
        self.place.begin(self.start)
        self.place.say(piece)
        self._asked += len(piece)
        if self._asked >= CHUNK:
            self._asked = 0
            self._wait()

    def rest(self, returned: Returned) -> None:
        """Sends all pieces that are left, and the end."""
        while not (self._gone or returned.bodiless):
            try:
                piece = returned.next()
            except StopIteration:
                break
            self.put(piece)
        self.place.end()

    def file(self, part: Any, returned: Returned) -> None:
        """Sends a part of a file, and the end once it is on its way."""
        if not returned.bodiless:
            self.place.say(part)
            self._wait()
        self.place.end()

    def _wait(self) -> None:
        waits = self.place.runtime.waits
        self._gone = waits.wait(waits.room, self.place.id, self.place.ticket) < 0
