"""The contenders: what is started, and by which command."""

from __future__ import annotations

import sys
from functools import cache
from getpass import getuser
from importlib.util import find_spec
from string import Template

from harness import (
    BUILD,
    CONTENDERS,
    WWW,
    BenchError,
    Contender,
    build,
    peer_program,
    peer_python,
    program,
)

MAX_CONNECTIONS = "16384"
FLOOR, FASTLOOP, FASTLOOP_KV, REDIS = "floor", "fastloop", "fastloop kv", "redis-server"
NGINX, GRANIAN, FASTPYSGI, SOCKETIFY, UVICORN = (
    "nginx",
    "granian",
    "fastpysgi",
    "socketify",
    "uvicorn",
)
GUNICORN, HYPERCORN = "gunicorn", "hypercorn"
PICOWS, WEBSOCKETS = "picows", "websockets"


@cache
def _fastloop(*args: str) -> list[str]:
    if find_spec("fastloop") is None:
        raise BenchError("this Python has no fastloop: pip install '.[bench]'")
    command = [sys.executable, "-m", "fastloop", *args, "--max-connections", MAX_CONNECTIONS]
    return [*command, "--max-requests", "0"]  # on one connection


def floor(*mode: str) -> Contender:
    """Return the C loop that nothing can beat by much; the mode is what floor.c calls so."""
    return Contender(FLOOR, lambda port: [build("floor"), str(port), *mode])


def beside(backend: str, idle: int) -> Contender:
    """Return fastloop on a backend, to be measured beside so many idle connections."""
    server = fastloop("line", "line", "--backend", backend)
    return Contender(f"{backend} beside {idle:,}", server.argv)


def loops(kind: str, count: int, handler: str, framing: str) -> Contender:
    """Return fastloop with several event loops: "threads" of a process, or "processes"."""
    name = f"{count} {kind if count > 1 else kind.removesuffix('s')}"
    if kind == "threads":
        threaded = fastloop(handler, framing, "--threads", str(count))
        return Contender(name, threaded.argv, shared=True)
    script, target = str(CONTENDERS / "processes.py"), f"{CONTENDERS / 'handlers.py'}:{handler}"
    serve = ["serve", target, "--framing", framing, "--max-connections", MAX_CONNECTIONS]
    return Contender(
        name, lambda port: [sys.executable, script, str(port), str(count), *serve], shared=True
    )


def _named(name: str, backend: str) -> str:
    return name if backend == "auto" else f"{name} ({backend})"


def fastloop(handler: str, framing: str, *options: str, backend: str = "auto") -> Contender:
    """Return fastloop serving a function of contenders/handlers.py."""
    target = f"{CONTENDERS / 'handlers.py'}:{handler}"

    def argv(port: int) -> list[str]:
        return [
            *_fastloop("serve", target, "--framing", framing, "--backend", backend, *options),
            "--bind",
            f"tcp://127.0.0.1:{port}",
        ]

    return Contender(_named(FASTLOOP, backend), argv)


def fastloop_http(handler: str, backend: str = "auto") -> Contender:
    """Return fastloop serving HTTP with a function of contenders/handlers.py."""
    target = f"{CONTENDERS / 'handlers.py'}:{handler}"

    def argv(port: int) -> list[str]:
        serve = _fastloop("serve", target, "--backend", backend)
        return [*serve, "--bind", f"http://127.0.0.1:{port}"]

    return Contender(_named(FASTLOOP, backend), argv)


def fastloop_files() -> Contender:
    """Return fastloop serving the files of bench/build/www."""

    def argv(port: int) -> list[str]:
        return [*_fastloop("files", str(WWW)), "--bind", f"http://127.0.0.1:{port}"]

    return Contender(FASTLOOP, argv)


def fastloop_kv(backend: str = "auto") -> Contender:
    """Return the key-value example of fastloop."""

    def argv(port: int) -> list[str]:
        return [
            *_fastloop("serve", "fastloop.examples.kv:handle", "--backend", backend),
            "--bind",
            f"resp://127.0.0.1:{port}",
        ]

    return Contender(_named(FASTLOOP_KV, backend), argv)


def redis() -> Contender:
    """Return Redis without persistence."""
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def argv(port: int) -> list[str]:
        server = program("redis-server", "redis-server")
        return [server, "--port", str(port), *options, "--maxclients", MAX_CONNECTIONS]

    return Contender(REDIS, argv)


def peer(name: str, mode: str) -> Contender:
    """Return a Python server of contenders/NAME_echo.py, in the peers' environment."""
    script = str(CONTENDERS / f"{name}_echo.py")
    packages = () if name == "asyncio" else (name,)
    return Contender(name, lambda port: [peer_python(*packages), script, str(port), mode])


def nginx() -> Contender:
    """Return nginx with contenders/nginx.conf: canned answers, and the files of bench/build/www."""
    template = Template((CONTENDERS / "nginx.conf").read_text())

    def argv(port: int) -> list[str]:
        server = program("nginx", "nginx-light")
        WWW.mkdir(parents=True, exist_ok=True)
        names = {"port": str(port), "user": getuser(), "folder": str(BUILD), "www": str(WWW)}
        config = BUILD / "nginx.conf"
        config.write_text(template.substitute(names))
        return [server, "-e", "stderr", "-c", str(config)]

    return Contender(NGINX, argv)


def granian(app: str) -> Contender:
    """Return granian with a function of contenders/rsgi.py, and bench/build/www below /static."""

    def argv(port: int) -> list[str]:
        serve = [peer_program("granian", "granian", "uvloop", "orjson"), "--port", str(port)]
        serve += ["--interface", "rsgi", "--http", "1", "--no-ws", "--loop", "uvloop", "--no-log"]
        return [*serve, "--static-path-mount", str(WWW), f"rsgi:{app}"]

    return Contender(GRANIAN, argv)


def fastpysgi(app: str) -> Contender:
    """Return fastpysgi with a WSGI function of contenders/fastpysgi_http.py."""
    script = str(CONTENDERS / "fastpysgi_http.py")
    return Contender(
        FASTPYSGI, lambda port: [peer_python("fastpysgi", "orjson"), script, str(port), app]
    )


def socketify(app: str) -> Contender:
    """Return socketify with a function of contenders/socketify_http.py."""
    script = str(CONTENDERS / "socketify_http.py")
    return Contender(
        SOCKETIFY, lambda port: [peer_python("socketify", "orjson"), script, str(port), app]
    )


def uvicorn(app: str) -> Contender:
    """Return uvicorn on uvloop and httptools with a function of contenders/asgi.py."""

    def argv(port: int) -> list[str]:
        packages = ("uvicorn", "httptools", "uvloop", "orjson")
        serve = [peer_program("uvicorn", *packages), "--port", str(port), "--log-level", "warning"]
        serve += ["--loop", "uvloop", "--http", "httptools", "--ws", "none", "--lifespan", "off"]
        return [*serve, "--no-access-log", "--timeout-keep-alive", "75", f"asgi:{app}"]

    return Contender(UVICORN, argv)


def fastloop_wsgi(app: str) -> Contender:
    """Return fastloop with an application of contenders/wsgi.py."""
    target = f"{CONTENDERS / 'wsgi_fastloop.py'}:{app}"

    def argv(port: int) -> list[str]:
        return [*_fastloop("serve", target), "--bind", f"http://127.0.0.1:{port}"]

    return Contender(FASTLOOP, argv)


def fastpysgi_wsgi(app: str) -> Contender:
    """Return fastpysgi with an application of contenders/wsgi.py."""
    script = str(CONTENDERS / "wsgi_fastpysgi.py")
    packages = ("fastpysgi", "flask", "django")
    return Contender(FASTPYSGI, lambda port: [peer_python(*packages), script, str(port), app])


def granian_wsgi(app: str) -> Contender:
    """Return granian with an application of contenders/wsgi.py."""

    def argv(port: int) -> list[str]:
        serve = [peer_program("granian", "granian", "flask", "django"), "--port", str(port)]
        return [*serve, "--interface", "wsgi", "--http", "1", "--no-log", f"wsgi:{app}_app"]

    return Contender(GRANIAN, argv)


def gunicorn(app: str) -> Contender:
    """Return gunicorn, one worker with threads, with an application of contenders/wsgi.py."""

    def argv(port: int) -> list[str]:
        serve = [peer_program("gunicorn", "gunicorn", "flask", "django")]
        serve += ["--bind", f"127.0.0.1:{port}", "--log-level", "warning"]
        serve += ["--worker-class", "gthread", "--threads", "4", "--keep-alive", "75"]
        return [*serve, f"wsgi:{app}_app"]

    return Contender(GUNICORN, argv)


_ASGI = ("starlette", "fastapi", "uvloop")


def fastloop_asgi(app: str) -> Contender:
    """Return fastloop on uvloop with an application of contenders/asgi_apps.py."""
    target = f"{CONTENDERS / 'asgi_apps.py'}:{app}_app"

    def argv(port: int) -> list[str]:
        serve = [*_fastloop("serve", target), "--loop", "uvloop", "--interface", "asgi"]
        return [*serve, "--bind", f"http://127.0.0.1:{port}"]

    return Contender(FASTLOOP, argv)


def fastpysgi_asgi(app: str) -> Contender:
    """Return fastpysgi with an application of contenders/asgi_apps.py."""
    script = str(CONTENDERS / "asgi_fastpysgi.py")
    packages = ("fastpysgi", *_ASGI)
    return Contender(FASTPYSGI, lambda port: [peer_python(*packages), script, str(port), app])


def granian_asgi(app: str) -> Contender:
    """Return granian on uvloop with an application of contenders/asgi_apps.py."""

    def argv(port: int) -> list[str]:
        serve = [peer_program("granian", "granian", *_ASGI), "--port", str(port), "--http", "1"]
        serve += ["--interface", "asginl", "--no-ws", "--loop", "uvloop", "--no-log"]
        return [*serve, f"asgi_apps:{app}_app"]

    return Contender(GRANIAN, argv)


def uvicorn_asgi(app: str) -> Contender:
    """Return uvicorn on uvloop and httptools with an application of contenders/asgi_apps.py."""

    def argv(port: int) -> list[str]:
        serve = [peer_program("uvicorn", "uvicorn", "httptools", *_ASGI), "--port", str(port)]
        serve += ["--log-level", "warning", "--no-access-log", "--timeout-keep-alive", "75"]
        serve += ["--loop", "uvloop", "--http", "httptools", "--ws", "none"]
        return [*serve, f"asgi_apps:{app}_app"]

    return Contender(UVICORN, argv)


def hypercorn(app: str) -> Contender:
    """Return hypercorn on uvloop with an application of contenders/asgi_apps.py."""

    def argv(port: int) -> list[str]:
        serve = [peer_program("hypercorn", "hypercorn", *_ASGI), "--worker-class", "uvloop"]
        serve += ["--bind", f"127.0.0.1:{port}", "--keep-alive", "75"]
        return [*serve, f"asgi_apps:make('{app}')"]

    return Contender(HYPERCORN, argv)


def fastloop_ws(mode: str, backend: str = "auto") -> Contender:
    """Return fastloop with a handler of contenders/ws_fastloop.py."""
    target = f"{CONTENDERS / 'ws_fastloop.py'}:{mode}"

    def argv(port: int) -> list[str]:
        serve = _fastloop("serve", target, "--backend", backend)
        return [*serve, "--bind", f"ws://127.0.0.1:{port}"]

    return Contender(_named(FASTLOOP, backend), argv)


def ws_peer(name: str, mode: str) -> Contender:
    """Return a server of contenders/ws_NAME.py, in the peers' environment."""
    script = str(CONTENDERS / f"ws_{name}.py")
    packages = (name,) if name == SOCKETIFY else (name, "uvloop")
    return Contender(name, lambda port: [peer_python(*packages), script, str(port), mode])


def granian_ws(mode: str) -> Contender:
    """Return granian with a function of contenders/ws_rsgi.py."""

    def argv(port: int) -> list[str]:
        serve = [peer_program("granian", "granian", "uvloop"), "--port", str(port)]
        serve += ["--interface", "rsgi", "--http", "1", "--ws", "--loop", "uvloop", "--no-log"]
        return [*serve, f"ws_rsgi:{mode}"]

    return Contender(GRANIAN, argv)


def uvicorn_ws(mode: str) -> Contender:
    """Return uvicorn on uvloop and websockets with a function of contenders/ws_asgi.py."""

    def argv(port: int) -> list[str]:
        packages = ("uvicorn", "httptools", "uvloop", "orjson", "websockets")
        serve = [peer_program("uvicorn", *packages), "--port", str(port), "--log-level", "warning"]
        serve += ["--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio"]
        serve += ["--ws-per-message-deflate", "false", "--lifespan", "off", "--no-access-log"]
        return [*serve, f"ws_asgi:{mode}"]

    return Contender(UVICORN, argv)
