"""The client: a process of its own that opens connections, asks, checks every byte, and measures.

    python -m fastloop.compare.client

Its work is done by the load generator in the core (csrc/load.c). It is told what to do by lines of
JSON on its standard input, and answers each by one on its standard output, until the input ends:

    {"do": "set", "address": ["127.0.0.1", 7000], "load": {"dialect": "line", ...}, "cores": [1]}
    {"do": "open", "kind": "idle", "count": 1000, "patience": 30}   opens; each asks once
    {"do": "again"}     each connection of kind "busy" asks once more, and gets its answer
    {"do": "start"}     the connections of kind "busy" go on asking
    {"do": "mark"}      what was measured since the last mark
    {"do": "still"}     fails if the server closed an idle connection, or spoke on it

An answer with "error" is the last one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any

from fastloop._ffi import check, ffi, lib, strerror

SLICE_MS = 20
"""How long the core goes on between two looks at the standard input."""
STEP = 100
"""Connections opened before all of them must have got an answer: so no backlog overflows."""
PATIENCE = 30.0
"""Seconds without any answer after which the server counts as dead."""


class Trouble(Exception):
    """What the client could not do, in words, and a name for it."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status


class Load:
    """Connections that all say the same, in the core."""

    def __init__(self, spec: dict[str, Any], connections: int) -> None:
        config = ffi.new("fl_load_config *")
        texts = [ffi.new("char[]", spec["dialect"].encode())]
        config.dialect = texts[0]
        config.connections = connections
        config.depth = spec.get("depth", 1)
        config.size = spec.get("size", 0)
        given = {name: spec[name].encode("latin-1") for name in ("ask", "answer") if name in spec}
        if "answer_file" in spec:
            given["answer"] = Path(spec["answer_file"]).read_bytes()
        for name, data in given.items():
            texts.append(ffi.new("char[]", data))
            setattr(config, name, texts[-1])
            setattr(config, f"{name}_len", len(data))
        error = ffi.new("int *")
        self._load = lib.fl_load_open(config, error)
        check(error[0], "preparing the load")
        self.open = 0
        self.asking = 0

    def connect(self, address: Any) -> None:
        """Opens one more connection, and asks on it."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        if family == socket.AF_INET and ":" in address[0]:
            family = socket.AF_INET6
        with socket.socket(family) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(address if family == socket.AF_UNIX else tuple(address))
            self._check(lib.fl_load_add(self._load, sock.detach()))
        self.open += 1
        self.asking += 1

    def ask(self) -> None:
        """Lets those who have their answers ask anew."""
        self._check(lib.fl_load_ask(self._load))

    def run(self, ms: int, *, again: bool) -> int:
        """Goes on for so long; returns how many connections wait for answers."""
        rc: int = lib.fl_load_run(self._load, ms, again)
        self._check(rc)
        self.asking = rc
        return rc

    def stats(self) -> Any:
        """What was measured since the last call of figures(), as an fl_load_stats."""
        out = ffi.new("fl_load_stats *")
        lib.fl_load_read(self._load, out)
        return out

    def figures(self) -> dict[str, float]:
        """What was measured since the last call."""
        out = self.stats()
        lib.fl_load_reset(self._load)
        names = ("p50", "p99", "p999", "max")
        return {"messages": out.messages} | {
            f"{name}_us": getattr(out, f"{name}_ns") / 1000 for name in names
        }

    def close(self) -> None:
        """Resets all connections."""
        lib.fl_load_free(self._load)

    def _check(self, rc: int) -> None:
        if rc >= 0:
            return
        words = ffi.string(lib.fl_load_problem(self._load)).decode() or strerror(rc)
        raise Trouble("failed" if rc <= lib.FL_EPROTO else "refused", words)


class Client:
    """What the commands do."""

    def __init__(self) -> None:
        self.loads: dict[str, Load] = {}
        self.running = False
        self._since = self._cpu = 0.0
        self._heard = 0, 0.0

    def set(self, address: Any, load: dict[str, Any], cores: list[int] | None) -> dict[str, Any]:
        """Says whom to ask, and what."""
        self.address, self.spec = address, load
        if cores is not None:
            os.sched_setaffinity(0, cores)
        return {}

    def open(self, kind: str, count: int, patience: float) -> dict[str, Any]:
        """Opens connections, of which each asks once and gets its answer."""
        load = self.loads[kind] = Load(self.spec, count)
        start = time.monotonic()
        try:
            while load.open < count:
                for _ in range(min(STEP, count - load.open)):
                    load.connect(self.address)
                while load.run(SLICE_MS, again=False) > 0:
                    if time.monotonic() - start > patience:
                        raise Trouble("timeout", f"not all had an answer after {patience:g} s")
        except (Trouble, OSError) as error:
            status = error.status if isinstance(error, Trouble) else "refused"
            held = load.open - load.asking
            raise Trouble(status, f"held {held:,} of {count:,} connections ({error})") from error
        return {"seconds": time.monotonic() - start}

    def start(self) -> dict[str, Any]:
        """Lets the busy connections go on asking."""
        self.running = True
        self._begin()
        return {}

    def mark(self) -> dict[str, Any]:
        """What was measured since the last mark, or the start: one answer at least."""
        while self.running and self.loads["busy"].stats().messages == 0:
            self.go_on()
        now, cpu = time.monotonic(), time.process_time()
        seconds = now - self._since
        busy = 100 * (cpu - self._cpu) / seconds if seconds > 0 else 0.0
        figures = self.loads["busy"].figures()
        self._begin()
        return {"seconds": seconds, "busy": busy, **figures}

    def again(self, patience: float = PATIENCE) -> dict[str, Any]:
        """Lets each busy connection ask once more, and waits for the answers."""
        load = self.loads["busy"]
        end = time.monotonic() + patience
        load.ask()
        while load.run(SLICE_MS, again=False) > 0:
            if time.monotonic() > end:
                raise Trouble("timeout", f"not all had an answer after {patience:g} s")
        return {}

    def still(self) -> dict[str, Any]:
        """Looks whether idle connections were left alone."""
        self.loads["idle"].run(0, again=False)
        return {}

    def go_on(self) -> None:
        """Asks and checks for a moment."""
        load = self.loads["busy"]
        load.run(SLICE_MS, again=True)
        now, messages = time.monotonic(), load.stats().messages
        if messages != self._heard[0]:
            self._heard = messages, now
        elif now - self._heard[1] > PATIENCE:
            raise Trouble("timeout", f"no answer for {PATIENCE:g} s")

    def _begin(self) -> None:
        self._since, self._cpu = time.monotonic(), time.process_time()
        self._heard = 0, self._since


def commands(client: Client) -> None:
    """Reads and obeys until the input ends; between commands, the busy connections go on."""
    pending = b""
    while True:
        ready = not client.running or select.select([0], [], [], 0)[0]
        if not ready:
            client.go_on()
            continue
        data = os.read(0, 65536)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            say(getattr(client, command.pop("do"))(**command))


def say(answer: dict[str, Any]) -> None:
    """Writes an answer. Who asked may have been killed meanwhile."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(answer).encode() + b"\n")


def main() -> None:
    """Runs the client."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it ends its input
    client = Client()
    try:
        commands(client)
    except Trouble as error:
        say({"error": str(error), "status": error.status})
    except (OSError, MemoryError) as error:
        say({"error": str(error), "status": "failed"})
    finally:
        for load in client.loads.values():
            load.close()


if __name__ == "__main__":
    main()
