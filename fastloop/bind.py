"""Where to listen: addresses as URLs, and the listening sockets behind them.

    tcp://127.0.0.1:7000   tcp://[::1]:7000   tcp://localhost:7000   tcp://:7000 (every interface)
    resp://127.0.0.1:6380  http://127.0.0.1:8000   and each as
    ws://127.0.0.1:8000/chat (WebSockets at this path), ws+fd:3/chat
    tcp+unix:/run/app.sock  resp+unix:/run/app.sock  http+unix:/run/app.sock  http+fd:3 (inherited)

Port 0 lets the system pick one.
"""

import errno
import os
import re
import socket
import stat
import sys
from dataclasses import dataclass, field
from typing import Any

from fastloop.errors import ConfigError

SCHEMES = ("tcp", "resp", "http", "ws")
LATER = ("https", "wss")
FORMS = "http://host:port, tcp://host:port, resp://host:port, http+unix:/path or http+fd:number"

# Where several sockets on one port share its connections evenly; elsewhere the last one gets all.
REUSEPORT = sys.platform == "linux"


@dataclass(frozen=True)
class Bind:
    """One address. `kind` is "inet", "unix" or "fd", and decides which of the others count."""

    url: str
    scheme: str
    kind: str
    host: str = ""  # "": every interface, IPv4 and IPv6
    port: int = 0
    path: str = ""  # of a Unix socket; of ws://, where WebSockets are
    fd: int = -1

    @property
    def framing(self) -> str | None:
        """The framing that goes without saying; None if there is none."""
        return {"tcp": None, "ws": "http"}.get(self.scheme, self.scheme)


@dataclass
class Listener:
    """An address that is listened on: a socket for each thread, or one that all of them share."""

    bind: Bind
    sockets: tuple[socket.socket, ...]
    address: str  # the URL, with the real port
    file: tuple[int, int] | None = field(default=None, repr=False)  # of a Unix socket: see identify

    def close(self) -> None:
        """Stops listening, and removes the file of a Unix socket if it is still ours."""
        if self.file is not None and identify(self.bind.path) == self.file:
            os.unlink(self.bind.path)
        self.file = None
        for each in self.sockets:
            each.close()


def parse(url: str) -> Bind:
    """Reads an address. Raises ConfigError, with what it should look like."""
    if not isinstance(url, str):
        raise ConfigError(f"cannot listen on {url!r}: an address is a string like {FORMS}")
    match = re.fullmatch(r"([a-z]+)(?:\+(unix|fd))?:(.*)", url)
    if match is None:
        raise ConfigError(f"cannot listen on {url!r}: an address looks like {FORMS}")
    scheme, kind, rest = match[1], match[2] or "inet", match[3]
    if scheme in LATER:
        raise ConfigError(f"cannot listen on {url}: {scheme} comes with a later version")
    if scheme not in SCHEMES:
        raise ConfigError(f"cannot listen on {url}: {scheme!r} is unknown; use {FORMS}")
    if kind == "unix":
        if not rest.strip("/"):
            raise ConfigError(f"cannot listen on {url}: a path is missing: {scheme}+unix:/path")
        # tcp+unix:///run/x is how other tools write the same path.
        return Bind(url, scheme, kind, path=re.sub("^//+", "/", rest))
    if kind == "fd":
        match = re.fullmatch(r"([0-9]{1,9})(/.*)?" if scheme == "ws" else r"([0-9]{1,9})()", rest)
        if match is None:
            raise ConfigError(f"cannot listen on {url}: a descriptor is missing: {scheme}+fd:3")
        return Bind(url, scheme, kind, path=match[2] or "", fd=int(match[1]))
    return parse_inet(url, scheme, rest)


def parse_inet(url: str, scheme: str, rest: str) -> Bind:
    """Reads what follows the scheme of an Internet address."""
    path = ""
    if scheme == "ws" and "/" in rest[2:]:  # where WebSockets are, if not at the root
        authority, _, path = rest[2:].partition("/")
        rest, path = f"//{authority}", f"/{path}"
    match = re.fullmatch(r"//(?:\[([^\]/]+)\]|([^:/\[\]]*))(?::([0-9]{1,5}))?/?", rest)
    if match is None:
        raise ConfigError(
            f"cannot listen on {url}: write {scheme}://host:port, an IPv6 host in brackets"
        )
    if match[3] is None:
        where = rest.rstrip("/")
        raise ConfigError(f"cannot listen on {url}: a port is missing: {scheme}:{where}:7000")
    if int(match[3]) > 65535:
        raise ConfigError(f"cannot listen on {url}: ports go up to 65535")
    host = match[1] or match[2] or ""
    return Bind(url, scheme, "inet", host=host, port=int(match[3]), path=path)


def listen(bind: Bind | str, *, backlog: int = 1024, threads: int = 1) -> Listener:
    """Opens the listening sockets of an address, one entry for each thread.

    TCP threads on Linux get sockets of their own, among which the kernel spreads the connections;
    elsewhere they share one. Raises ConfigError if it cannot be done.
    """
    bind = parse(bind) if isinstance(bind, str) else bind
    try:
        if bind.kind == "unix":
            return listen_unix(bind, backlog, threads)
        if bind.kind == "fd":
            return Listener(bind, (adopt(bind.fd),) * threads, bind.url)
        return listen_inet(bind, backlog, threads)
    except OSError as error:
        raise ConfigError(f"cannot listen on {bind.url}: {explain(error)}") from error


def listen_inet(bind: Bind, backlog: int, threads: int) -> Listener:
    """Opens TCP sockets.

    The first takes the port for itself alone, so that another program there is noticed even if
    that program shares; only then is the port shared, with our own sockets.
    """
    own = REUSEPORT and threads > 1
    family, place = resolve(bind.host, bind.port)
    sockets: list[socket.socket] = []
    try:
        for _ in range(threads if own else 1):
            sockets.append(open_inet(family, place, dual=not bind.host, share=bool(sockets)))
            if own:
                sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sockets[-1].listen(backlog)
            place = sockets[0].getsockname()
    except OSError:
        for each in sockets:
            each.close()
        raise
    host = f"[{bind.host}]" if ":" in bind.host else bind.host
    address = f"{bind.scheme}://{host}:{place[1]}{bind.path}"
    return Listener(bind, tuple(sockets) if own else (sockets[0],) * threads, address)


def resolve(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    """Family and address to bind to; of a name with several addresses, the first IPv4 one."""
    if not host:
        if socket.has_dualstack_ipv6():
            return socket.AF_INET6, ("::", port)
        return socket.AF_INET, ("0.0.0.0", port)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda each: each[0] != socket.AF_INET)
    return found[0][0], found[0][4]


def open_inet(family: int, place: tuple[Any, ...], *, dual: bool, share: bool) -> socket.socket:
    """A bound TCP socket; `dual`: an IPv6 one takes IPv4 connections too."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # After a restart, connections of the last run must not keep us from the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual))
        sock.bind(place)
    except OSError:
        sock.close()
        raise
    return sock


def listen_unix(bind: Bind, backlog: int, threads: int) -> Listener:
    """Opens a Unix socket, in the place of one that a dead process left behind."""
    remove_stale(bind.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(bind.path)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return Listener(bind, (sock,) * threads, bind.url, identify(bind.path))


def remove_stale(path: str) -> None:
    """Removes a Unix socket's file if nobody listens there; raises OSError if somebody does."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "a file is there that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog must not hold us up: it is a listener's too
        if probe.connect_ex(path) == errno.ECONNREFUSED:
            os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def adopt(fd: int) -> socket.socket:
    """Takes over a listening socket that the process was started with; `fd` itself stays open."""
    sock = socket.socket(fileno=os.dup(fd))
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise OSError(errno.EINVAL, "it is a socket, but nobody called listen() on it")
    return sock


def identify(path: str) -> tuple[int, int] | None:
    """What tells the file at a path from another that may take its place."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def explain(error: OSError) -> str:
    """What went wrong, and what to do about it."""
    if error.errno == errno.EADDRINUSE:
        return (
            "address already in use (another program listens there; pick another port, or port 0)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return "no interface of this machine has that address"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied (ports below 1024 and some directories are for root)"
    if isinstance(error, socket.gaierror):
        return f"no such host ({error.strerror})"
    return error.strerror or str(error)
