"""Commands about the connection and the server: what clients say before they get to work."""

import os
import time

from fastloop.examples.kv.commands import (
    COMMANDS,
    Command,
    command,
    integer,
    takes,
    wrong_number,
)
from fastloop.examples.kv.glob import compiled
from fastloop.examples.kv.store import data, expires
from fastloop.reply import last
from fastloop.resp import Error, Value, hello

VERSION = b"7.0.0"  # of the Redis whose replies these are; clients look at it
STARTED = time.monotonic()

SETTINGS = {
    b"appendonly": b"no",
    b"databases": b"1",
    b"maxmemory": b"0",
    b"maxmemory-policy": b"noeviction",
    b"save": b"",
}


@command(b"PING")
def ping(_: bytes, text: bytes | None = None) -> Value:
    return "PONG" if text is None else text


@command(b"ECHO")
def echo(_: bytes, text: bytes) -> Value:
    return text


@command(b"SELECT")
def select(_: bytes, index: bytes) -> Value:
    if integer(index) != 0:
        raise Error("ERR DB index is out of range")
    return "OK"


@command(b"QUIT")
def quit_(_: bytes, *ignored: bytes) -> Value:
    return last("OK")


@command(b"RESET")
def reset(_: bytes) -> Value:
    return hello(2, "RESET")


@command(b"HELLO")
def hello_(_: bytes, version: bytes | None = None, *options: bytes) -> Value:
    if version is None:
        return about(2)
    number = integer(version, "ERR Protocol version is not an integer or out of range")
    if number not in (2, 3):
        raise Error("NOPROTO unsupported protocol version")
    rest = iter(options)
    for option in rest:  # names and passwords are accepted, and not asked for again
        operands = {b"AUTH": 2, b"SETNAME": 1}.get(option.upper())
        if operands is None or None in [next(rest, None) for _ in range(operands)]:
            raise Error(b"ERR Syntax error in HELLO option '%b'" % option)
    return hello(number, about(number))


def about(protocol: int) -> dict[bytes, Value]:
    """Return what HELLO says of the server."""
    return {
        b"server": b"redis",
        b"version": VERSION,
        b"proto": protocol,
        b"id": 1,
        b"mode": b"standalone",
        b"role": b"master",
        b"modules": [],
    }


@command(b"INFO")
def info(_: bytes, *sections: bytes) -> Value:
    text = {
        b"server": f"redis_version:{VERSION.decode()}\r\nredis_mode:standalone\r\n"
        f"process_id:{os.getpid()}\r\nuptime_in_seconds:{int(time.monotonic() - STARTED)}\r\n",
        b"replication": "role:master\r\nconnected_slaves:0\r\n",
        b"keyspace": f"db0:keys={len(data)},expires={len(expires)},avg_ttl=0\r\n" if data else "",
    }
    wanted = {section.lower() for section in sections}
    if not wanted or wanted & {b"all", b"default", b"everything"}:
        wanted = set(text)
    parts = (f"# {name.decode().title()}\r\n{text[name]}" for name in text if name in wanted)
    return "\r\n".join(parts).encode()


def subcommands(family: str, members: dict[bytes, Command]) -> None:
    """Enter a command whose first argument names another one; ``b""`` is the one without."""

    @command(family.encode())
    def run(_: bytes, name: bytes = b"", *args: bytes) -> Value:
        member = name.lower()
        function = members.get(member)
        if function is None and not name:
            raise wrong_number(family.lower())
        if function is None:
            raise Error(
                b"ERR unknown subcommand '%b'. Try %b HELP." % (name[:128], family.encode())
            )
        if not takes(function, len(args)):
            raise wrong_number(f"{family.lower()}|{member.decode()}")
        return function(*args)


def config_get(pattern: bytes, *more: bytes) -> Value:
    """Return the settings that match, which clients ask for and nobody can change."""
    matches = [compiled(p.lower()).fullmatch for p in (pattern, *more)]
    return {name: value for name, value in SETTINGS.items() if any(m(name) for m in matches)}


def client_line(*_: bytes) -> Value:
    """Return the line about a client: connections are not told apart here."""
    return b"id=1 name= db=0\n"


def ok(_: bytes) -> Value:
    """Agree to what makes no difference here."""
    return "OK"


def command_names() -> list[bytes]:
    """Return the names of all commands."""
    return sorted({name.lower() for name in COMMANDS})


subcommands("CONFIG", {b"get": config_get})
subcommands(
    "CLIENT",
    {
        b"getname": lambda: None,
        b"id": lambda: 1,
        b"info": client_line,
        b"list": client_line,
        b"no-evict": ok,
        b"no-touch": ok,
        b"setinfo": lambda name, value: "OK",
        b"setname": ok,
    },
)
subcommands(
    "COMMAND",
    {
        b"": list,
        b"count": lambda: len(command_names()),
        b"docs": lambda *names: {},  # so redis-cli has no hints to show, and asks no more
        b"info": lambda *names: [None for _ in names],
        b"list": command_names,
    },
)
