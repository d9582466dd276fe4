"""What `fastloop demo` runs: every example on a port of its own, in one process."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from fastloop import target
from fastloop.config import Config
from fastloop.examples import web
from fastloop.server import Server

BASE_PORT = 7001
KV_PORT = 6380
WEB_PORT = 8000


@dataclass(frozen=True)
class Example:
    """One example server and how to talk to it; "{port}" and "{host}" are filled in."""

    name: str
    scheme: str
    port: int  # when nobody asks for other ports
    framing: str
    tries: tuple[str, ...]

    def url(self, host: str, port: int) -> str:
        """Where it listens."""
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


EXAMPLES = (
    Example("echo", "tcp", BASE_PORT, "line", ("nc {host} {port}",)),
    Example("chat", "tcp", BASE_PORT + 1, "line", ("nc {host} {port}    (in two terminals)",)),
    Example(
        "kv",
        "resp",
        KV_PORT,
        "resp",
        (
            "redis-cli -h {host} -p {port} set greeting hello",
            "redis-benchmark -h {host} -p {port} -q -n 100000 -P 16 -t set,get",
        ),
    ),
    Example(
        "score", "tcp", BASE_PORT + 2, "line", ('echo "5.1 3.5 1.4 0.2" | nc -q 1 {host} {port}',)
    ),
)


def routes(host: str, base_port: int | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Handlers and framings by address: on the usual ports, or on those from `base_port` on."""
    handlers: dict[str, Any] = {}
    framings: dict[str, str] = {}
    for n, example in enumerate(EXAMPLES):
        url = example.url(host, example.port if base_port is None else base_port + n)
        handlers[url] = target.load(f"fastloop.examples.{example.name}:handle")
        framings[url] = example.framing
    return handlers, framings


def run(host: str, base_port: int | None, config: Config, say: Callable[[str], object]) -> None:
    """Serves all examples until Ctrl-C or SIGTERM, and says how to try each once they listen.

    The page in the browser waits for time to pass, so it has asyncio, in a thread of its own:
    the others need none and are faster without.
    """
    handlers, framings = routes(host, base_port)
    servers = [Server(handlers, framing=framings, **asdict(config))]
    port = WEB_PORT if base_port is None else base_port + len(EXAMPLES)
    url = Example("web", "http", port, "http", ()).url(host, port)
    pollable = replace(config, backend="auto", threads=1, blocking=0)
    page = Server(web.make(servers), url, **asdict(pollable))
    servers.append(page)
    page.start()
    try:
        servers[0].run(started=lambda: say(guide(servers[0].addresses, page.addresses[0])))
    finally:
        page.stop(drain=0)  # whoever looks at the page would keep it for ever


def guide(addresses: list[str], page: str) -> str:
    """What to type to try each example, given where they listen."""
    lines = []
    for example, address in zip(EXAMPLES, addresses, strict=True):
        host, _, port = address.partition("://")[2].rpartition(":")
        lines.append(f"{example.name:<6} {address}")
        lines += [
            "       " + text.format(host=host.strip("[]") or "127.0.0.1", port=port)
            for text in example.tries
        ]
    lines += [f"web    {page}", "       open it in a browser: what all of these do, live"]
    lines += [
        f"chat   {page}/chat",
        "       open it in two tabs: a room for all of them, by WebSocket",
    ]
    return "\n".join([*lines, "", "Ctrl-C ends it."])
