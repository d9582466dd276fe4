"""Which handler a request is for, by method and path."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from fastloop.errors import ConfigError
from fastloop.handlers import is_async, is_batch, is_stream
from fastloop.http.pattern import Pattern
from fastloop.http.static import Constant, Static
from fastloop.http.table import Endpoint, Entry, Table

F = TypeVar("F", bound=Callable[..., Any])
ErrorKey = int | type[Exception]
ErrorHandler = Callable[[Any, Exception], Any]


class Router:
    """Sends requests to handlers by method and path.

        app = fastloop.Router()

        @app.get("/users/{id:int}")
        def user(request, id):
            return {"id": id}

    Parameters are handed over by name; kinds are str (the default: anything but a slash), int,
    float, uuid and path (slashes too). A path without parameters wins over one with, and of two
    that match the one that was added first. Methods that a path does not have are answered by 405
    with Allow, paths that do not exist by 404; HEAD goes to the handler of GET, and OPTIONS is
    answered, unless they have handlers of their own.

    Routes that are added after the server was made are not served.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._mounted: list[tuple[str, Router]] = []
        self._errors: dict[ErrorKey, ErrorHandler] = {}
        self._constants: list[Constant] = []
        self._statics: list[Static] = []

    # -- routes --

    def route(
        self, path: str, methods: Iterable[str] = ("GET",), *, stream: bool = False
    ) -> Callable[[F], F]:
        """Decorates a handler ``f(request, **parameters)`` for these methods of a path.

        With ``stream`` (or ``@fastloop.stream``) it is called when the head of the request is here,
        and reads the body itself. Raises ConfigError for a path or a handler that does not fit.
        """
        pattern = Pattern.of(path)
        names = (methods,) if isinstance(methods, str) else tuple(methods)

        def add(handler: F) -> F:
            endpoint = Endpoint(
                handler,
                name=getattr(handler, "__qualname__", repr(handler)),
                is_async=is_async(handler),
                stream=stream or is_stream(handler),
            )
            check_call(handler, endpoint.name, pattern.names, f" of {path}")
            if is_batch(handler):
                raise ConfigError(
                    f"the batch handler {endpoint.name} cannot be a route: a batch has requests for"
                    " any of them; serve it on an address of its own"
                )
            self._entries += [Entry(pattern, method.upper(), endpoint) for method in names]
            return handler

        return add

    def get(self, path: str, *, stream: bool = False) -> Callable[[F], F]:
        """Decorates the handler of GET, and of HEAD."""
        return self.route(path, ("GET",), stream=stream)

    def post(self, path: str, *, stream: bool = False) -> Callable[[F], F]:
        """Decorates the handler of POST."""
        return self.route(path, ("POST",), stream=stream)

    def put(self, path: str, *, stream: bool = False) -> Callable[[F], F]:
        """Decorates the handler of PUT."""
        return self.route(path, ("PUT",), stream=stream)

    def patch(self, path: str, *, stream: bool = False) -> Callable[[F], F]:
        """Decorates the handler of PATCH."""
        return self.route(path, ("PATCH",), stream=stream)

    def delete(self, path: str, *, stream: bool = False) -> Callable[[F], F]:
        """Decorates the handler of DELETE."""
        return self.route(path, ("DELETE",), stream=stream)

    def websocket(self, path: str, handler: Any = None, **options: Any) -> Any:
        """Serves WebSockets on a path: a handler as ``fastloop.websocket`` tells, or decorates one.

        The options are ``subprotocols``, ``origins``, ``compression``, ``max_message``,
        ``ping_interval`` and ``ping_timeout``: see ``websocket.Endpoint``. Parameters of the path
        are in ``conn.parameters``. Requests that ask for no WebSocket are answered by 426. Raises
        ConfigError for what cannot work.
        """
        if handler is None:
            return lambda function: self.websocket(path, function, **options)
        from fastloop.websocket.endpoint import Endpoint as Socket  # which needs requests

        socket = Socket(handler, **options)
        endpoint = Endpoint(socket.upgrade, name=socket.handler.name, socket=socket)
        self._entries.append(Entry(Pattern.of(path), "GET", endpoint))
        return handler

    def mount(self, prefix: str, other: Router) -> None:
        """Adds the routes, files and constants of another router below a prefix.

        Errors are answered as this one says. Raises ConfigError for a prefix that does not fit.
        """
        if not isinstance(other, Router):
            raise ConfigError(f"mount({prefix!r}) takes a Router, not {type(other).__name__}")
        self._mounted.append((_prefix(prefix), other))

    # -- what is answered without Python --

    def static(self, prefix: str, directory: Any, **options: Any) -> None:
        """Serves the files of a directory below a prefix; the options are those of ``Static``."""
        self._statics.append(Static(_prefix(prefix), directory, **options))

    def constant(self, path: str, body: str | bytes, *, content_type: str | None = None) -> None:
        """Answers GET and HEAD of this very path with these bytes, in C.

        ``content_type`` is by default text/plain in UTF-8 for str, application/octet-stream for
        bytes.
        """
        self._constants.append(Constant(path, body, content_type))

    # -- errors --

    def error(self, key: ErrorKey) -> Callable[[F], F]:
        """Decorates what answers an error, a status or an exception class: ``f(request, error)``.

        A status is that of an HTTPError, also of the router's own 404 and 405; 500 is for whatever
        else handlers raise, after it was logged. The class nearest to an exception's own wins, and
        a class wins over a status. A reply without a status gets that of the error.
        """
        if not (isinstance(key, int) and 400 <= key <= 599) and not (
            isinstance(key, type) and issubclass(key, Exception)
        ):
            raise ConfigError(f"error({key!r}): give a status from 400 on or an exception class")

        def add(handler: F) -> F:
            if is_async(handler):
                raise ConfigError(f"the error handler for {key!r} is async: nobody would await it")
            self._errors[key] = handler
            return handler

        return add

    # -- all of it --

    def table(self) -> Table:
        """Everything as it is now, ready to be looked up.

        Raises ConfigError for two handlers of one method and path.
        """
        return Table(self._all(), self._errors)

    def _all(self) -> list[Entry]:
        entries = list(self._entries)
        for prefix, other in self._mounted:
            entries += [entry.below(prefix) for entry in other._all()]
        return entries

    def constants(self) -> list[Constant]:
        """Constant answers, those of mounted routers too."""
        return self._constants + [
            each.below(prefix) for prefix, other in self._mounted for each in other.constants()
        ]

    def statics(self) -> list[Static]:
        """Directories of files, those of mounted routers too."""
        return self._statics + [
            each.below(prefix) for prefix, other in self._mounted for each in other.statics()
        ]


def _prefix(prefix: str) -> str:
    """Without a slash at its end: "" for the root."""
    if not prefix.startswith("/"):
        raise ConfigError(f"the prefix {prefix!r} does not begin with /")
    return prefix.rstrip("/")


def check_call(call: Any, name: str, parameters: tuple[str, ...], where: str) -> None:
    """Raises ConfigError for a handler that cannot be called as ``f(request, **parameters)``."""
    if not callable(call):
        raise ConfigError(f"the handler{where} is {call!r}: hand over a function f(request)")
    try:
        inspect.signature(call).bind(None, **dict.fromkeys(parameters))
    except ValueError:  # a builtin that does not tell
        return
    except TypeError as error:
        wanted = "".join(f", {each}" for each in parameters)
        raise ConfigError(
            f"the handler {name}{where} is called as f(request{wanted}): {error}"
        ) from None
