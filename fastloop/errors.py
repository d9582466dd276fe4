"""The exceptions of fastloop. All of them are a FastloopError and one of Python's own as well."""


class FastloopError(Exception):
    """Anything that fastloop itself raises, except what the operating system said (OSError)."""


class ConfigError(FastloopError, ValueError):
    """An option, an address, a framing or a target that cannot be used; the message names it."""


class ConnectionClosed(FastloopError, ConnectionError):
    """The connection is gone: nothing more can be sent to it."""


class StartupError(FastloopError, RuntimeError):
    """An ASGI application said, or raised, that it cannot start."""


class ReplyError(FastloopError, TypeError):
    """A handler returned a value that the connection's framing cannot send."""


class CoreError(FastloopError, RuntimeError):
    """The C core refused a call for a reason that is no errno; `code` is one of FL_E*."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
