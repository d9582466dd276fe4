"""Options: what they allow, and which source wins."""

from __future__ import annotations

import logging
import os
import resource
from pathlib import Path
from typing import Any

import pytest

import fastloop
from fastloop.config import RESERVED_FILES, Config
from fastloop.errors import ConfigError, FastloopError
from fastloop.framing import LENGTHS, NAMES, Framing, Length, Line, Raw, Resp, of


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No option comes from the environment of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("FASTLOOP_"):
            monkeypatch.delenv(name)


TIMES = [("500ms", 0.5), ("10s", 10), ("5m", 300), ("2h", 7200), ("1d", 86400), ("1.5s", 1.5)]
SIZES = [("64k", 65536), ("16m", 16 << 20), ("1g", 1 << 30), ("64K", 65536), ("64KiB", 65536)]


@pytest.mark.parametrize(
    ("given", "seconds"), [*TIMES, ("3", 3), (3, 3), (0.25, 0.25), (0, 0), (" 7 s ", 7)]
)
def test_times(given: Any, seconds: float) -> None:
    assert Config(idle_timeout=given).idle_timeout == seconds


@pytest.mark.parametrize(
    ("given", "size"), [*SIZES, ("64kb", 65536), ("100", 100), (100, 100), ("100 b", 100)]
)
def test_sizes(given: Any, size: int) -> None:
    assert Config(max_message=given).max_message == size


@pytest.mark.parametrize(
    ("given", "value"),
    [(True, True), (False, False), ("yes", True), ("ON", True), (" 1 ", True), ("true", True)]
    + [(word, False) for word in ("no", "off", "0", "False")],
)
def test_flags(given: Any, value: bool) -> None:
    assert Config(debug=given).debug is value


def test_limits_of_http() -> None:
    """What stands in the documentation."""
    config = Config()
    assert config.max_request_line == 8 << 10
    assert (config.max_headers, config.max_header_count) == (64 << 10, 100)
    assert config.max_body == 16 << 20
    assert (config.header_timeout, config.body_timeout, config.body_rate) == (10, 30, 500)
    assert (config.keep_alive, config.max_requests) == (75, 10_000)
    assert config.max_connections_per_address == 0
    assert (config.file_threads, config.file_queue) == (4, 1024)
    assert (config.healthz, config.debug) == ("/-/healthz", False)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("debug", "maybe"),
        ("debug", 1),
        ("healthz", "up"),
        ("healthz", "/a?b"),
        ("healthz", "/a b"),
        ("healthz", 5),
        ("max_request_line", 10),
        ("max_headers", "1g"),
        ("max_header_count", 0),
        ("file_threads", 0),
        ("idle_timeout", "soon"),
        ("idle_timeout", -1),
        ("idle_timeout", "5 parsecs"),
        ("idle_timeout", True),
        ("idle_timeout", float("nan")),
        ("idle_timeout", float("inf")),
        ("idle_timeout", "99999999d"),
        ("max_message", "0"),
        ("max_message", "64q"),
        ("max_message", 1.5),
        ("max_message", "2g"),
        ("threads", 0),
        ("threads", "two"),
        ("threads", True),
        ("threads", 1.0),
        ("threads", "9" * 5000),
        ("backend", "iocp"),
        ("backend", None),
        ("loop", "trio"),
        ("log_level", "loud"),
        ("backlog", 65536),
        ("max_connections", 0),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(option: str, value: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        Config(**{option: value})
    message = str(raised.value)
    assert message.startswith(f"{option}={value!r} is not ")
    assert "\n" not in message
    assert isinstance(raised.value, FastloopError)
    assert isinstance(raised.value, ValueError)


def test_a_word_that_is_nearly_right_gets_a_hint() -> None:
    with pytest.raises(ConfigError, match="did you mean 'epoll'"):
        Config(backend="epol")


def test_reading_must_be_able_to_go_on() -> None:
    with pytest.raises(ConfigError, match="low_water"):
        Config(low_water="1m", high_water="64k")
    assert Config(low_water=65536, high_water=65536).low_water == 65536


def test_it_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Config().threads = 2  # type: ignore[misc]


class TestLoad:
    def test_given_over_environment_over_file_over_default(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "server.toml"
        file.write_text('threads = 2\nbacklog = 20\nidle_timeout = "2m"\n')
        monkeypatch.setenv("FASTLOOP_THREADS", "3")
        monkeypatch.setenv("FASTLOOP_BACKLOG", "30")
        loaded = Config.load(config=file, threads="4")
        assert (loaded.threads, loaded.backlog, loaded.idle_timeout) == (4, 30, 120.0)
        assert loaded.linger == Config().linger

    def test_the_environment_may_name_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "server.toml"
        file.write_text("threads = 5\n")
        monkeypatch.setenv("FASTLOOP_CONFIG", str(file))
        assert Config.load().threads == 5

    def test_none_is_not_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FASTLOOP_THREADS", "3")
        assert Config.load(threads=None).threads == 3

    def test_an_empty_variable_is_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FASTLOOP_THREADS", "")
        assert Config.load().threads == 1

    def test_a_bad_variable_is_told_from_a_bad_argument(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FASTLOOP_THREADS", "many")
        with pytest.raises(ConfigError, match="threads='many' in the environment is not"):
            Config.load()

    def test_unknown_options_get_a_hint(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="unknown option 'tread': did you mean 'threads'"):
            Config.load(tread=1)
        with pytest.raises(ConfigError, match="unknown option 'colour': there are backend, "):
            Config.load(colour=1)
        file = tmp_path / "server.toml"
        file.write_text("idle_time = 1\n")
        with pytest.raises(ConfigError, match=r"did you mean 'idle_timeout'\? in .*server\.toml"):
            Config.load(config=file)

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"cannot read .*none\.toml: No such file"):
            Config.load(config=tmp_path / "none.toml")
        broken = tmp_path / "broken.toml"
        broken.write_bytes(b"threads = = 2")
        with pytest.raises(ConfigError, match=r"broken\.toml is not TOML"):
            Config.load(config=broken)
        broken.write_bytes(b"\xff\xfe")
        with pytest.raises(ConfigError, match=r"broken\.toml is not TOML"):
            Config.load(config=broken)

    def test_connections_stay_below_the_limit_of_files(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
        with caplog.at_level(logging.INFO, "fastloop"):
            assert Config.load().max_connections == 1024 - RESERVED_FILES
            assert Config.load(max_connections=5000).max_connections == 1024 - RESERVED_FILES
            assert Config.load(max_connections=500).max_connections == 500
        assert [record.levelno for record in caplog.records] == [logging.INFO, logging.WARNING]
        assert "ulimit -n" in caplog.text

    def test_no_limit_of_files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
        assert Config.load(max_connections=1_000_000).max_connections == 1_000_000


class TestFraming:
    @pytest.mark.parametrize("name", [name for name in NAMES if name != "http"])
    def test_every_name_has_a_default_maximum_and_takes_another(self, name: str) -> None:
        assert of(name).name == name
        assert of(name).max > 0
        assert of(name, max=100).max == 100

    @pytest.mark.parametrize("name", NAMES)
    def test_the_core_knows_every_name(self, name: str) -> None:
        with fastloop.Server(lambda _: None, "tcp://127.0.0.1:0", framing=name) as server:
            assert server.port > 0

    def test_objects_are_what_their_names_are(self) -> None:
        assert of("raw") == Raw()
        assert of("line") == Line()
        assert of("resp") == Resp()
        assert [of(kind) for kind in LENGTHS] == [Length(kind) for kind in LENGTHS]

    def test_an_object_keeps_its_own(self) -> None:
        line = Line(b"\0", max=7)
        assert of(line, max=100) is line
        assert (line.name, line.delimiter, line.max) == ("line", b"\0", 7)

    @pytest.mark.parametrize(
        ("typed", "delimiter"),
        [(r"\0", b"\0"), (r"\r\n", b"\r\n"), (";", b";"), (r"\xff", b"\xff"), (b"\\0", b"\\0")],
    )
    def test_delimiters_as_one_types_them(self, typed: str | bytes, delimiter: bytes) -> None:
        assert of("line", delimiter=typed).delimiter == delimiter

    @pytest.mark.parametrize("delimiter", [b"", b"123456789", "", "\\x", "\u20ac", "\\"])
    def test_bad_delimiters(self, delimiter: str | bytes) -> None:
        with pytest.raises(ConfigError, match="delimiter"):
            of("line", delimiter=delimiter)

    def test_only_lines_have_delimiters(self) -> None:
        with pytest.raises(ConfigError, match="framing line, not to u8"):
            of("u8", delimiter=";")

    def test_unknown_names(self) -> None:
        with pytest.raises(ConfigError, match="did you mean 'u16be'"):
            of("u16bee")
        with pytest.raises(ConfigError, match="use one of raw, line"):
            of("protobuf")
        with pytest.raises(ConfigError, match="'u24' is unknown"):
            Length("u24")
        with pytest.raises(ConfigError, match="a framing is missing"):
            of(None)

    @pytest.mark.parametrize("most", [0, -1, (1 << 30) + 1])
    def test_maxima(self, most: int) -> None:
        with pytest.raises(ConfigError, match="1 byte to 1 GiB"):
            Raw(max=most)
        assert isinstance(Raw(max=1 << 30), Framing)
