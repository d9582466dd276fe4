"""From a request of the core to the response of an application: what runs once for every request.

``inline`` is the way most requests take: one Python frame between the core and the application.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib
from fastloop.config import Config
from fastloop.crossing import FAULT, MARK
from fastloop.http.answer import Answers as HTTPAnswers
from fastloop.http.body import Body
from fastloop.http.request import Request
from fastloop.wsgi.body import Part, Returned
from fastloop.wsgi.environ import FileWrapper, arriving
from fastloop.wsgi.marker import Application
from fastloop.wsgi.place import Place
from fastloop.wsgi.start import Start

if TYPE_CHECKING:
    from fastloop.runtime import Runtime

Message = tuple[dict[str, Any], bytes | None, int]
"""(environ, body or None, id), as the core delivers it; the environ is of the request alone."""


class Answers:
    """Answers the requests of one runtime with an application."""

    def __init__(
        self, runtime: Runtime, app: Application, base: dict[str, Any], config: Config
    ) -> None:
        """``base`` is what the environ of every request has."""
        self.runtime = runtime
        self.app = app
        self._base = base
        self._root: str = base["SCRIPT_NAME"]
        self._stream = config.blocking > 0
        self._http = HTTPAnswers(runtime, None, debug=config.debug)

    def inline(self) -> Callable[[Message], Any]:
        """For the loop's own thread."""
        app, base, plain = self.app, self._base, not self._root
        operation = lib.FL_HTTP
        start = Start()
        call = start.start

        def answer(message: Message) -> Any:
            nonlocal start, call
            own, body, _ = message
            environ = base | own if plain and not body else self.environ(message)
            try:
                result = app(environ, call)
                if type(result) is list and len(result) == 1 and start.code and not start.written:
                    body = result[0]
                    if type(body) is bytes:
                        reply = (MARK, operation, start.code, start.headers, body)
                        start.code = 0
                        return reply
                reply = self._respond(message, environ, start, result)
            except Exception as error:
                reply = self.failed(environ, message[2], error)
            except BaseException:
                call = (start := Start()).start
                raise
            call = (start := Start()).start  # somebody may still hold the other
            return reply

        return answer

    def environ(self, message: Message) -> dict[str, Any]:
        """The whole environ of a request."""
        own, body, id = message
        environ = self._base | own
        if body is None:
            environ["wsgi.input"] = arriving(Body(self.runtime, id, None))
        elif body:
            environ["wsgi.input"] = BytesIO(body)
            if not self._stream and "CONTENT_LENGTH" not in own:
                # It came in chunks, and they are gone (RFC 9112, section 7.1.3).
                environ["CONTENT_LENGTH"] = str(len(body))
                environ.pop("HTTP_TRANSFER_ENCODING", None)
        root = self._root
        if root:
            path = environ["PATH_INFO"]
            if path == root or path.startswith(f"{root}/"):
                environ["PATH_INFO"] = path[len(root) :]
        return environ

    def failed(self, environ: dict[str, Any], id: int, error: Exception) -> Any:
        """What crosses for an application that raised before its response began."""
        line = "{REQUEST_METHOD} {RAW_URI} {SERVER_PROTOCOL}\r\n".format_map(environ)
        return self._http.failed(Request(("", "", "", line.encode("latin-1"), b"", id)), error)

    def _respond(self, message: Message, environ: dict[str, Any], start: Start, result: Any) -> Any:
        """What crosses for anything but a list of one piece; what is longer begins."""
        returned = Returned(environ, start, result)
        try:
            part = returned.part() if type(result) is FileWrapper else None
            first = None if part is not None else returned.whole()
        except BaseException:
            returned.close()
            raise
        if type(first) is tuple:
            returned.close()
            return first
        place = Place(self.runtime, message[2])
        # Not before the place is in the outbox.
        self.runtime.soon(InTurns(self, environ, place, start, returned).begin, first or b"", part)
        return place.later


class InTurns:
    """Sends a response in pieces between turns, one a turn, as fast as the peer takes them."""

    def __init__(
        self,
        answers: Answers,
        environ: dict[str, Any],
        place: Place,
        start: Start,
        returned: Returned,
    ) -> None:
        self._answers = answers
        self._environ = environ
        self._place = place
        self._start = start
        self._returned = returned

    def begin(self, first: bytes, part: Part | None) -> None:
        """The head and the first piece."""
        try:
            self._begin(first, part)
        except Exception as error:
            self._fail(error)

    def _begin(self, first: bytes, part: Part | None) -> None:
        if not self._start.code:
            raise RuntimeError("the application did not call start_response()")
        self._place.begin(self._start)
        if self._returned.bodiless:
            self._end()
        elif part is not None:
            self._place.say((MARK, lib.FL_PART, *part))
            self._ask(self._sent)
        else:
            self._place.say(first)
            self._ask(self._next)

    def _ask(self, call: Callable[[int], None]) -> None:
        self._place.runtime.waits.room(self._place.id, self._place.ticket, call)

    def _next(self, room: int) -> None:
        if room < 0:
            self._end()
            return
        try:
            piece = self._returned.next()
        except StopIteration:
            self._end()
        except Exception as error:
            self._fail(error)
        else:
            if piece:
                self._place.say(piece)
            self._ask(self._next)

    def _sent(self, _: int) -> None:
        self._end()

    def _end(self) -> None:
        self._returned.close()
        self._place.end()

    def _fail(self, error: Exception) -> None:
        self._returned.close()
        reply = self._answers.failed(self._environ, self._place.id, error)
        self._place.keep(FAULT if self._start.begun else reply)
