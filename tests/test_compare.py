"""`fastloop compare`: what it runs, how it judges, what it writes, and how it refuses nonsense."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from client import wait_for

from fastloop.compare import command, grades, plots, point, proc, session, tables, workload
from fastloop.compare.driver import Client, Server
from fastloop.compare.errors import PointError
from fastloop.compare.point import BUSY, IDLE, Point, Setting
from fastloop.compare.tables import Comparison
from fastloop.compare.techniques import Technique, techniques
from fastloop.config import EVENT_LOOP
from fastloop.errors import ConfigError

SECONDS = 120
WORKING = [each for each in techniques() if each.why_not is None]
LOOP = Technique("epoll", "epoll", EVENT_LOOP)
THREADS = Technique("thread-per-connection", "auto", "thread-per-connection")
PROCESSES = Technique("process-per-connection", "auto", "process-per-connection")

APP = """
import itertools
numbers = itertools.count()

def upper(message):
    return message.upper()

def swapped(command):
    return list(reversed(command))

def page(request):
    return "you asked for " + request.path

def silent(message):
    return None

def counting(message):
    return b"%d" % next(numbers)
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands run in a directory with an app.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """Runs the command."""
    return subprocess.run(
        [sys.executable, "-m", "fastloop", "compare", *args],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


TINY = ("--seconds", "0.05", "--connections", "3")


class TestCommand:
    def test_every_technique_is_measured_and_written_down(self, directory: Path) -> None:
        done = run(*TINY, "--output", "out")
        assert done.returncode == 0, done.stderr
        found = json.loads((directory / "out/compare.json").read_text())
        assert [each["name"] for each in found["techniques"]] == [t.name for t in WORKING]
        kinds = {(p["technique"], p["kind"], p["connections"]) for p in found["points"]}
        assert kinds == {
            (technique.name, kind, count)
            for technique in WORKING
            for kind, count in ((BUSY, 3), (IDLE, 0), (IDLE, 3))
        }
        for each in found["points"]:
            assert each["status"] == "ok", each
            assert each["throughput"] > 0
            assert each["p50_us"] <= each["p99_us"]
            if proc.AVAILABLE:
                assert each["cpu_us"] >= 0  # the kernel may count none for so short a run
                assert each["memory"] is None or each["memory"] > 1_000_000
        if proc.AVAILABLE:
            assert any(each["cpu_us"] > 0 for each in found["points"])
        for technique in WORKING:
            assert technique.title in done.stdout
        assert (directory / "out/compare.txt").read_text() == done.stdout
        assert "| technique | scales |" in (directory / "out/compare.md").read_text()
        if find_spec("matplotlib") is None:
            assert "pip install" in done.stderr
        else:
            for name in ("throughput", "idle", "memory"):
                assert (directory / f"out/compare-{name}.svg").read_text().count("<svg") == 1
                assert (directory / f"out/compare-{name}.png").read_bytes()[:4] == b"\x89PNG"

    @pytest.mark.parametrize(
        "args",
        [
            ("app:upper", None, "line", "hello you", "/"),
            ("app:upper", None, "u16be", "hi", "/"),
            ("app:upper", None, "varint", "x" * 300, "/"),
            ("app:upper", None, "raw", "hi", "/"),
            ("app:swapped", "resp://127.0.0.1:0", None, "SET key value", "/"),
            ("app:page", "http://127.0.0.1:0", None, "", "/there"),
            ("app.py:upper", "tcp+unix:{}/sock", "line", "hi", "/"),
        ],
        ids=lambda args: " ".join(map(str, args))[:40],
    )
    def test_handlers_of_users(self, directory: Path, args: tuple[Any, ...]) -> None:
        target, url, framing, message, path = args
        url = url and url.format(directory)
        found = workload.of(target, url, framing, message, path)
        assert target in found.description
        measured = point.measure(Setting(found, 0.05), WORKING[0], BUSY, 2)
        assert measured.status == "ok", measured

    def test_a_handler_that_changes_its_mind_is_a_failure(self) -> None:
        done = run("app:counting", "--framing", "line", *TINY, "--techniques", WORKING[0].name)
        assert done.returncode == 1
        assert "failed: " in done.stdout
        assert "other bytes than the first time" in done.stdout

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (("--techniques", "epol"), "technique 'epol' is unknown: there are "),
            (("--techniques", ","), "no technique is named"),
            (("--connections", "1,many"), "--connections 1,many: a whole number from 1"),
            (("--connections", "0"), "a whole number from 1"),
            (("--seconds", "soon"), "--seconds soon: a time"),
            (("--seconds", "0"), "from 0.05 to 600 seconds"),
            (("--framing", "line"), "belong to a TARGET"),
            (("app:upper",), "needs --framing"),
            (("app:upper", "--framing", "lines"), "did you mean 'line'"),
            (("app:uper", "--framing", "line"), "did you mean upper"),
            (("app:silent", "--framing", "line"), "does not answer"),
            (("app:upper", "--framing", "u8", "--message", "x" * 256), "too long for framing u8"),
            (("app:upper", "--framing", "line", "--bind", "tcp+fd:3"), "use port 0"),
            (("app:page", "--bind", "http://127.0.0.1:0", "--framing", "line"), "leave --framing"),
            (("app:page", "--bind", "http://127.0.0.1:0", "--path", "/-/no"), None),
        ],
        ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
    )
    def test_mistakes_are_told_in_one_line(self, args: tuple[str, ...], said: str | None) -> None:
        if said is None:  # a path that is answered by 404
            args = ("fastloop:Router()", *args[1:])
            said = "answered by 404"
        done = run(*args)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert "Traceback" not in done.stderr

    def test_where_nothing_can_be_written(self, directory: Path) -> None:
        (directory / "out").write_text("a file")
        done = run(*TINY, "--techniques", WORKING[0].name, "--output", "out")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    @pytest.mark.skipif(not proc.AVAILABLE, reason="needs /proc")
    def test_an_interruption_leaves_no_process_behind(self, number: int) -> None:
        argv = [sys.executable, "-m", "fastloop", "compare", "--seconds", "60"]
        # Tests that a shell runs in the background ignore Ctrl-C, and so would what they start.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        signal.signal(signal.SIGINT, before)
        try:
            wait_for(lambda: len(proc.tree(process.pid)) >= 3, what="a server and a client")
            children = proc.tree(process.pid)[1:]
            process.send_signal(number)
            _, err = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
            process.wait()
        killed = number == signal.SIGKILL
        assert process.returncode == (-number if killed else 130)
        assert ("interrupted" in err) is not killed
        assert "Traceback" not in err
        wait_for(lambda: not any(map(alive, children)), what="the end of all of them")

    def test_help_tells_how(self) -> None:
        said = run("--help").stdout
        for word in (
            "--quick",
            "--techniques",
            "fastloop compare app:app --bind http://",
            "pip install",
        ):
            assert word in said


def alive(pid: int) -> bool:
    """Whether a process runs, and is no zombie that somebody else has to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not proc.AVAILABLE, reason="needs /proc")
class TestProc:
    def test_fields(self) -> None:
        text = "Name:\tx\nPss:                1234 kB\nPss_Anon:              12 kB\n"
        assert proc.field(text, "Pss") == 1234
        assert proc.field(text, "Pss_Anon") == 12
        assert proc.field(text, "Pss_Shmem") == 0

    def test_a_tree_has_children_of_children(self) -> None:
        with subprocess.Popen(["sh", "-c", "sh -c 'sleep 60; true'; true"]) as process:
            try:
                wait_for(lambda: len(proc.tree(process.pid)) == 3, what="three processes")
                assert proc.tree(process.pid)[0] == process.pid
                assert proc.threads(process.pid) == 3
                assert proc.pss(process.pid) > 0
                assert proc.page_tables(process.pid) > 0
            finally:
                for pid in reversed(proc.tree(process.pid)):
                    os.kill(pid, signal.SIGKILL)

    def test_counters_grow(self) -> None:
        before = proc.usage(os.getpid())
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass
        time.sleep(0.001)
        used = proc.usage(os.getpid()) - before
        assert used.cpu >= 0.015
        assert used.wakeups >= 1

    def test_what_is_gone_counts_nothing(self) -> None:
        process = subprocess.Popen(["true"])
        process.wait()
        assert proc.tree(process.pid) == [process.pid]
        assert proc.usage(process.pid) == proc.Usage(0.0, 0, 0)
        assert proc.pss(process.pid) == 0

    def test_of_many_processes_some_are_looked_at(self) -> None:
        looked_at: list[int] = []

        def one(pid: int) -> int:
            looked_at.append(pid)
            return 10

        assert proc._sum(list(range(1001)), one) == 10_010
        assert len(looked_at) <= proc.SAMPLED + 1

    def test_memory_available(self) -> None:
        assert proc.available() > 1_000_000


def of(technique: Technique, kind: str, count: int, cpu_us: float = 5.0, **more: Any) -> Point:
    """A point as if it had been measured."""
    given = {
        "throughput": 1e6 / cpu_us,
        "cpu_us": cpu_us,
        "memory": 20 << 20,
        "per_connection": 200.0,
    }
    return Point(technique.name, kind, count, **{**given, "opening": count / 10_000, **more})


class TestGrades:
    def test_high(self) -> None:
        points = [of(LOOP, kind, n) for n in (100, 1000, 10_000) for kind in (BUSY, IDLE)]
        assert grades.grade(points, LOOP.name) == grades.Grade("High", 10_000, True)

    def test_idle_connections_that_cost(self) -> None:
        points = [of(LOOP, BUSY, n) for n in (100, 1000, 10_000)]
        points += [of(LOOP, IDLE, 1000, 9.0), of(LOOP, IDLE, 10_000, 90.0)]
        assert grades.grade(points, LOOP.name) == grades.Grade("Medium", 1000, False)

    def test_a_few_connections_need_not_keep_it_busy(self) -> None:
        points = [of(LOOP, BUSY, 1, 40.0), of(LOOP, BUSY, 100), of(LOOP, BUSY, 1000)]
        assert grades.grade(points, LOOP.name).carries == 1000

    def test_memory_counts(self) -> None:
        points = [of(THREADS, BUSY, 100), of(THREADS, BUSY, 1000, memory=2 << 30)]
        assert grades.grade(points, THREADS.name) == grades.Grade("Low", 100, False)

    def test_refusal_counts(self) -> None:
        refused = Point(LOOP.name, IDLE, 1000, "refused", "no")
        points = [of(LOOP, BUSY, 100), of(LOOP, BUSY, 1000), refused]
        assert grades.grade(points, LOOP.name).carries == 100

    def test_without_cpu_time(self) -> None:
        points = [of(LOOP, BUSY, 100, cpu_us=5.0), of(LOOP, BUSY, 1000, cpu_us=50.0)]
        for each in points:
            each.cpu_us = None
        assert grades.grade(points, LOOP.name).carries == 100

    def test_nothing(self) -> None:
        assert grades.grade([], LOOP.name) == grades.Grade("Low", 0, False)


class TestSession:
    def test_techniques_take_turns(self) -> None:
        steps = session.plan([LOOP, THREADS], [10, 1000])
        assert [(s.technique.name[:5], s.kind, s.connections) for s in steps] == [
            (name, kind, count)
            for kind, count in ((IDLE, 0), (BUSY, 10), (BUSY, 1000), (IDLE, 1000))
            for name in ("epoll", "threa")
        ]

    def test_too_many_files(self) -> None:
        why = session.pointless(session.Step(LOOP, BUSY, 900_000_000), [], 60)
        assert why is None or "may open" in why

    def test_too_many_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(session, "most_tasks", lambda: 1000)
        assert session.pointless(session.Step(THREADS, BUSY, 100), [], 60) is None
        why = session.pointless(session.Step(THREADS, BUSY, 600), [], 60)
        assert why is not None
        assert "1,000 threads" in why
        assert session.pointless(session.Step(LOOP, BUSY, 600), [], 60) is None

    def test_too_much_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(session, "most_tasks", lambda: None)
        monkeypatch.setattr(proc, "AVAILABLE", True)
        monkeypatch.setattr(proc, "available", lambda: 8 << 30)
        done = [of(PROCESSES, BUSY, 100, per_connection=float(1 << 20))]
        assert session.pointless(session.Step(PROCESSES, BUSY, 1000), done, 60) is None
        why = session.pointless(session.Step(PROCESSES, BUSY, 10_000), done, 60)
        assert why == "would need 9.8 GiB of memory; 8.0 GiB are free"
        assert session.pointless(session.Step(LOOP, BUSY, 10_000), done, 60) is None

    def test_too_much_time(self) -> None:
        done = [of(LOOP, BUSY, 1000, opening=10.0)]
        why = session.pointless(session.Step(LOOP, BUSY, 10_000), done, 60)
        assert why == "would take about 100 s to open (60 s is the limit)"

    def test_what_failed_with_fewer(self) -> None:
        done = [Point(LOOP.name, BUSY, 1000, "refused", "full")]
        why = session.pointless(session.Step(LOOP, BUSY, 5000), done, 60)
        assert why == "refused with 1,000 already"

    def test_what_is_skipped_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(session, "pointless", lambda *_: "no")
        setting = Setting(workload.builtin(), 0.1)
        (found,) = session.run(setting, [session.Step(LOOP, BUSY, 10)], lambda _: None)
        assert (found.status, found.why) == ("not run", "no")


class TestTables:
    found = Comparison(
        Setting(workload.builtin(), 1.0),
        [LOOP, THREADS],
        [
            of(LOOP, BUSY, 1000, client_busy=99.0, server_busy=50.0, p50_us=1500.0, p99_us=2e6),
            Point(THREADS.name, BUSY, 1000, "not run", "too much"),
        ],
    )

    def test_text(self) -> None:
        text = tables.text(self.found)
        assert "1,000 busy connections\n" in text
        assert "not run: too much" in text
        assert "99 *" in text
        assert "* The client was at its limit" in text
        header, line = text.splitlines()[text.splitlines().index("1,000 busy connections") + 1 :][
            :2
        ]
        assert header.split()[0] == "technique"
        assert line.split()[:4] == ["event", "loop:", "epoll", "200,000"]
        assert len(header) <= len(line)

    def test_what_was_not_measured_is_a_dash(self) -> None:
        shown = tables.cells(Point("x", BUSY, 1000, throughput=5.0), "x")
        assert shown == ["x", "5", *["-"] * 9]

    def test_markdown_has_as_many_cells_in_each_row(self) -> None:
        rows = [line for line in tables.markdown(self.found).splitlines() if "connection" in line]
        assert len({line.count("|") for line in rows if line.startswith("|")} - {5}) == 1

    def test_json(self) -> None:
        found = json.loads(json.dumps(tables.plain(self.found)))
        assert found["techniques"][0]["grade"] == {
            "word": "Medium",
            "carries": 1000,
            "open_end": True,
        }
        assert found["points"][1]["why"] == "too much"

    def test_plots(self, directory: Path) -> None:
        pytest.importorskip("matplotlib")
        names = plots.save(self.found, directory)
        assert sorted(names) == [
            f"compare-{name}.{suffix}"
            for name in ("memory", "throughput")
            for suffix in ("png", "svg")
        ]
        assert "event loop: epoll (Medium)" in (directory / "compare-throughput.svg").read_text()


def asked_again(client: Client) -> None:
    """Asks some times: an answer too many may come late."""
    client.open("busy", 1)
    while True:
        client("again")


class TestEnds:
    """The client and the server, as processes."""

    @pytest.mark.parametrize("dialect", ["raw", "line", "resp"])
    def test_messages_come_back(self, dialect: str, directory: Path) -> None:
        (directory / "echo.py").write_text(
            "def handle(m):\n    return m[-1] if isinstance(m, tuple) else m\n"
        )
        load = {"dialect": dialect, "size": 50_000, "depth": 3}
        serve = Server("echo:handle", "tcp://127.0.0.1:0", ["--framing", dialect], None)
        with serve as server, Client(server.address, load, None) as client:
            client.open("idle", 2)
            client.open("busy", 4)
            client("again")
            assert client("mark")["messages"] == 24
            client("start")
            time.sleep(0.05)
            figures = client("mark")
            client("still")
        assert figures["messages"] > 0
        assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["max_us"] * 1.02

    @pytest.mark.parametrize("size", [0, 5000])
    def test_http_bodies(self, size: int, directory: Path) -> None:
        (directory / "page.py").write_text(
            "def handle(r):\n    return iter([r.body or b'fixed', b''])\n"
        )
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        load: dict[str, Any] = {"dialect": "http", "ask": head, "size": size}
        if size == 0:
            load["answer"] = "fixed"
        serve = Server("page:handle", "http://127.0.0.1:0", [], None)
        with serve as server, Client(server.address, load, None) as client:
            client.open("busy", 3)
            client("again")
            assert client("mark")["messages"] == 6

    @pytest.mark.parametrize(
        ("handler", "said"),
        [
            ("lambda m: m[:-1] + b'!'", "other bytes than were sent"),
            ("lambda m: [m, m]", "more than was asked for"),
        ],
    )
    def test_wrong_answers_are_noticed(self, handler: str, said: str, directory: Path) -> None:
        (directory / "wrong.py").write_text(f"handle = {handler}\n")
        serve = Server("wrong:handle", "tcp://127.0.0.1:0", ["--framing", "line"], None)
        with (
            serve as server,
            Client(server.address, {"dialect": "line", "size": 16}, None) as client,
            pytest.raises(PointError, match=said),
        ):
            asked_again(client)

    def test_a_close_is_a_refusal(self) -> None:
        options = ["--framing", "line", "--max-connections", "2"]
        serve = Server(workload.ECHO, "tcp://127.0.0.1:0", options, None)
        with serve as server, Client(server.address, workload.builtin().load, None) as client:
            with pytest.raises(PointError, match=r"of 5 connections") as caught:
                client.open("busy", 5)
            assert caught.value.status == "refused"

    def test_a_server_that_does_not_start(self) -> None:
        serve = Server("app:nothing", "tcp://127.0.0.1:0", ["--framing", "line"], None)
        with pytest.raises(PointError, match="app has no 'nothing'"), serve:
            pass

    def test_dialects_that_make_no_sense(self) -> None:
        serve = Server(workload.ECHO, "tcp://127.0.0.1:0", ["--framing", "line"], None)
        with (
            serve as server,
            Client(server.address, {"dialect": "no"}, None) as client,
            pytest.raises(PointError, match="Invalid argument"),
        ):
            client.open("busy", 1)

    def test_a_silent_server_is_a_timeout(self) -> None:
        serve = Server("app:silent", "tcp://127.0.0.1:0", ["--framing", "line"], None)
        with serve as server, Client(server.address, workload.builtin().load, None) as client:
            with pytest.raises(PointError, match="held 0 of 1") as caught:
                client.open("busy", 1, patience=0.1)
            assert caught.value.status == "timeout"


def test_numbers_of_the_command_line() -> None:
    assert command.numbers("10,1,10") == (1, 10)
    with pytest.raises(ConfigError):
        command.numbers("")


def test_kinds_of_points_are_those_of_the_tables() -> None:
    assert point.KINDS == (BUSY, IDLE)
