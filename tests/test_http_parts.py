"""The parts of HTTP that need no server: what a request tells, what a response may say."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import fastloop
from fastloop import HTTPError, Response
from fastloop.crossing import MARK
from fastloop.http import (
    Event,
    Headers,
    MultiDict,
    Request,
    head,
    html,
    json,
    redirect,
    serial,
    text,
)
from fastloop.http.convert import Stream, convert
from fastloop.http.file import disposition
from fastloop.http.response import ResponseHeaders


def request(
    method: str = "GET",
    target: str = "/",
    fields: bytes = b"Host: example.com:8000\r\n",
    body: bytes | None = b"",
    *,
    version: str = "1.1",
) -> Request:
    """A request as the core hands it over, of a target without percent signs."""
    path, _, query = target.partition("?")
    line = f"{method} {target} HTTP/{version}\r\n".encode()
    return Request((method, path, query, line + fields, body, 7))


class TestMultiDict:
    PAIRS = (("a", "1"), ("b", "2"), ("a", "3"), ("", "4"))

    def test_reading(self) -> None:
        found = MultiDict(self.PAIRS)
        assert found["a"] == "1"
        assert found.getall("a") == ["1", "3"]
        assert found.getall("c") == []
        assert found.get("c") is None
        assert found.get("c", "x") == "x"
        assert found.get("b", "x") == "2"
        assert found.items() == list(self.PAIRS)
        assert found.values() == ["1", "2", "3", "4"]
        assert list(found) == found.keys() == ["a", "b", ""]
        assert len(found) == 3
        assert "a" in found
        assert "A" not in found
        assert 1 not in found
        assert dict(found) == {"a": "1", "b": "2", "": "4"}
        with pytest.raises(KeyError, match="'c'"):
            found["c"]

    def test_it_is_a_value(self) -> None:
        assert MultiDict(self.PAIRS) == MultiDict(self.PAIRS)
        assert MultiDict(self.PAIRS) != MultiDict()
        assert MultiDict([("a", "1")]) != Headers([("a", "1")])
        assert "('a', '3')" in repr(MultiDict(self.PAIRS))
        with pytest.raises(TypeError, match="unhashable"):
            hash(MultiDict())

    def test_headers_in_any_case(self) -> None:
        found = Headers([("x-a", "1"), ("x-b", "2"), ("x-a", "3")])
        assert found["X-A"] == "1, 3"
        assert found.getall("X-a") == ["1", "3"]
        assert "X-B" in found
        assert found.get("X-C") is None


class TestHead:
    def test_fields(self) -> None:
        found = head.fields(
            b"GET / HTTP/1.1\r\nA:1\r\nb: \t two  words \t\r\nA: x:y\r\nE:\r\nF: \xe4\r\n"
        )
        assert found.items() == [
            ("a", "1"),
            ("b", "two  words"),
            ("a", "x:y"),
            ("e", ""),
            ("f", "\xe4"),
        ]

    def test_only_white_space_of_http_is_cut(self) -> None:
        """Not what Python thinks of as white space, nor what it thinks of as the end of a line."""
        found = head.fields(b"GET / HTTP/1.1\r\nA:\xa0\x85x\x85\xa0\r\n")
        assert found.items() == [("a", "\xa0\x85x\x85\xa0")]

    @pytest.mark.parametrize(
        ("target", "parts"),
        [
            ("/", ("", "/")),
            ("/a/b%20c?d=/e", ("", "/a/b%20c")),
            ("http://host", ("host", "/")),
            ("HTTP://host:80/a?b", ("host:80", "/a")),
            ("http://host?a=/b", ("host", "/")),
            ("*", ("", "*")),
            ("//host/a", ("", "//host/a")),
        ],
    )
    def test_target(self, target: str, parts: tuple[str, str]) -> None:
        assert head.split_target(target) == parts

    @pytest.mark.parametrize(
        ("fields", "cookies"),
        [
            ([], {}),
            (["a=1; b=2"], {"a": "1", "b": "2"}),
            (["a=1;b=2", "c=3"], {"a": "1", "b": "2", "c": "3"}),
            (["a=1; a=2"], {"a": "1"}),
            (['a="x y"; b="'], {"a": "x y", "b": '"'}),
            (["a=b=c; lone; =x;; "], {"a": "b=c", "": "x"}),
        ],
    )
    def test_cookies(self, fields: list[str], cookies: dict[str, str]) -> None:
        assert head.cookies(fields) == cookies


class TestRequest:
    def test_what_it_tells(self) -> None:
        got = request("POST", "/a?b=1&c=%20x&b=&d", b"Host: h\r\nCookie: k=v\r\n", b"body")
        assert (got.method, got.path, got.body, got.text, got.id) == (
            "POST",
            "/a",
            b"body",
            "body",
            7,
        )
        assert got.query_string == "b=1&c=%20x&b=&d"
        assert got.query.getall("b") == ["1", ""]
        assert got.query["c"] == " x"
        assert got.query["d"] == ""
        assert got.headers["host"] == got.host == "h"
        assert got.cookies == {"k": "v"}
        assert got.url == "http://h/a?b=1&c=%20x&b=&d"
        assert got.raw_path == "/a"
        assert got.http_version == "1.1"
        assert got.scheme == "http"
        assert repr(got) == "<Request POST http://h/a?b=1&c=%20x&b=&d>"

    def test_an_absolute_target_wins(self) -> None:
        line = b"GET http://real:81/a%2Fb?c HTTP/1.0\r\nHost: other\r\n"
        got = Request(("GET", "/a/b", "c", line, b"", 1))
        assert (got.host, got.raw_path, got.url) == ("real:81", "/a%2Fb", "http://real:81/a%2Fb?c")
        assert got.http_version == "1.0"

    def test_no_host(self) -> None:
        assert request(fields=b"", version="1.0").host == ""

    @pytest.mark.parametrize(
        ("sent", "type"),
        [
            (b"", ""),
            (b"Content-Type: Text/HTML; charset=x\r\n", "text/html"),
            (b"content-type:a/b\r\n", "a/b"),
        ],
    )
    def test_content_type(self, sent: bytes, type: str) -> None:
        assert request(fields=sent).content_type == type

    def test_json(self) -> None:
        assert request(body=b'{"a": [1, null, "\xc3\xa4"]}').json() == {"a": [1, None, "ä"]}
        with pytest.raises(HTTPError, match="400 the body is not JSON"):
            request(body=b"{").json()

    def test_text_that_is_none(self) -> None:
        with pytest.raises(HTTPError, match="400 the body is not UTF-8"):
            _ = request(body=b"\xff").text

    def test_a_body_that_is_not_read(self) -> None:
        with pytest.raises(fastloop.FastloopError, match="not read yet"):
            _ = request(body=None).body

    def test_what_is_read_is_kept(self) -> None:
        got = request(target="/?a=1")
        assert got.headers is got.headers
        assert got.query is got.query

    def test_no_headers_are_read_for_method_and_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise AssertionError("headers were read")

        monkeypatch.setattr(head, "fields", fail)
        monkeypatch.setattr(head, "request_line", fail)
        got = request()
        assert (got.method, got.path, got.query_string, got.body) == ("GET", "/", "", b"")
        assert not vars(got)
        with pytest.raises(AssertionError, match="headers were read"):
            _ = got.headers


class TestResponseHeaders:
    def test_reading_and_writing(self) -> None:
        found = ResponseHeaders({"A": "1", "n": 5})
        found.add("a", "2")
        found["B"] = "x"
        found["b"] = "y"
        found.setdefault("a", "no")
        found.setdefault("c", "yes")
        assert found.items() == [("A", "1"), ("n", "5"), ("a", "2"), ("b", "y"), ("c", "yes")]
        assert found["a"] == "1"
        assert found.getall("A") == ["1", "2"]
        assert found.get("x", "d") == "d"
        assert "N" in found
        assert len(found) == 5
        assert list(found) == ["A", "n", "a", "b", "c"]
        del found["A"]
        found.discard("nothing")
        assert "a" not in found
        with pytest.raises(KeyError):
            del found["a"]
        with pytest.raises(KeyError):
            found["a"]

    @pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ä", "a\0", "(a)", 'a"', 5, None])
    def test_bad_names(self, name: Any) -> None:
        with pytest.raises(ValueError, match="header") as caught:
            ResponseHeaders({name: "x"})
        assert repr(name) in str(caught.value)

    @pytest.mark.parametrize("code", [*range(9), *range(10, 32), 127])
    def test_control_characters(self, code: int) -> None:
        headers = ResponseHeaders()
        with pytest.raises(ValueError, match=r"'x-y'.*control character"):
            headers["x-y"] = f"a{chr(code)}b"
        with pytest.raises(ValueError, match="control character"):
            headers.add("x-y", f"a{chr(code)}")
        with pytest.raises(ValueError, match="control character"):
            Response(headers={"x-y": f"{chr(code)}"})
        assert len(headers) == 0

    def test_what_is_allowed(self) -> None:
        headers = ResponseHeaders({"x": "a\tb \x7e", "y": "ä\xff", "z": ""})
        assert headers.crossing() == [("x", "a\tb \x7e"), ("y", b"\xe4\xff"), ("z", "")]
        assert headers["y"] == "ä\xff"
        with pytest.raises(ValueError, match="beyond Latin-1"):
            headers["x"] = "€"
        with pytest.raises(ValueError, match="is float"):
            headers["x"] = 1.5  # type: ignore[assignment]


class TestResponse:
    @pytest.mark.parametrize("status", [0, 99, 100, 199, 1000, -1, "200", None, 200.0])
    def test_bad_status(self, status: Any) -> None:
        with pytest.raises(ValueError, match="from 200 to 999"):
            Response(status=status)
        response = Response()
        with pytest.raises(ValueError, match="from 200 to 999"):
            response.status = status
        assert response.status == 200

    def test_cookies(self) -> None:
        response = Response()
        response.set_cookie("a", "1")
        response.set_cookie(
            "b",
            "x|y",
            max_age=60,
            expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
            path=None,
            domain="example.com",
            secure=True,
            httponly=False,
            samesite="None",
        )
        response.delete_cookie("c", path="/x")
        assert response.headers.getall("set-cookie") == [
            "a=1; Path=/; SameSite=Lax; HttpOnly",
            "b=x|y; Max-Age=60; Expires=Wed, 02 Jan 2030 03:04:05 GMT; Domain=example.com; "
            "SameSite=None; Secure",
            "c=; Max-Age=0; Path=/x; SameSite=Lax; HttpOnly",
        ]

    @pytest.mark.parametrize(
        "options",
        [
            {"name": ""},
            {"name": "a b"},
            {"name": "a="},
            {"value": "a;b"},
            {"value": "a b"},
            {"value": "ä"},
            {"value": 'a"'},
            {"value": "a,b"},
            {"value": "a\r\nb"},
            {"value": "a\\"},
            {"path": "/;a"},
            {"domain": "a\r\n"},
            {"samesite": "None"},
        ],
    )
    def test_bad_cookies(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="cookie"):
            Response().set_cookie(**{"name": "a", **options})

    def test_helpers(self) -> None:
        assert text("x", 201).headers["content-type"] == "text/plain; charset=utf-8"
        assert html("x", headers={"a": "b"}).headers.items() == [
            ("a", "b"),
            ("content-type", "text/html; charset=utf-8"),
        ]
        assert json([1]).body == b"[1]"
        assert json(None, 400).status == 400
        assert repr(text("x")) == "<Response 200 {'content-type': 'text/plain; charset=utf-8'}>"

    @pytest.mark.parametrize(
        ("to", "location"),
        [
            ("/a?b=c#d", "/a?b=c#d"),
            ("https://example.com/ä b", "https://example.com/%C3%A4%20b"),
            ("/a%20b", "/a%20b"),
            ("/\r\nset-cookie: a=b", "/%0D%0Aset-cookie:%20a=b"),
        ],
    )
    def test_redirect(self, to: str, location: str) -> None:
        response = redirect(to)
        assert (response.status, response.headers["location"]) == (302, location)

    def test_redirect_with_another_status(self) -> None:
        assert redirect("/", 308).status == 308
        with pytest.raises(ValueError, match="no status of a redirect"):
            redirect("/", 200)

    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("a b.txt", 'attachment; filename="a b.txt"'),
            ("ä.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A4.txt"),
            ('a"b\r\n', "attachment; filename=\"a_b__\"; filename*=UTF-8''a%22b%0D%0A"),
        ],
    )
    def test_names_of_downloads(self, name: str, field: str) -> None:
        assert disposition(name) == field
        assert fastloop.file("x", download=name).headers["content-disposition"] == field

    def test_download_under_its_own_name(self) -> None:
        found = fastloop.file(
            "/a/b.txt", download=True, cache_control="no-store", headers={"x": "y"}
        )
        assert found.headers["content-disposition"] == 'attachment; filename="b.txt"'
        assert found.headers["cache-control"] == "no-store"
        assert found.headers["x"] == "y"
        assert repr(found) == "<File /a/b.txt>"


class TestErrors:
    def test_words(self) -> None:
        assert str(HTTPError(404)) == "404 Not Found"
        assert str(HTTPError(404, "no cat")) == "404 no cat"
        assert HTTPError(599).text == "Status 599"

    @pytest.mark.parametrize("status", [200, 399, 600])
    def test_status(self, status: int) -> None:
        with pytest.raises(ValueError, match="from 400 to 599"):
            HTTPError(status)


class TestEvent:
    @pytest.mark.parametrize(
        ("event", "sent"),
        [
            (Event("a"), b"data: a\n\n"),
            (Event(""), b"data: \n\n"),
            (Event("a\nb\r\nc\rd\n"), b"data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"),
            (Event({"a": 1}, "e", 7, 500), b'event: e\nid: 7\nretry: 500\ndata: {"a":1}\n\n'),
            (Event([1], id="x"), b"id: x\ndata: [1]\n\n"),
            (Event("\x85\u2028"), b"data: \xc2\x85\xe2\x80\xa8\n\n"),
        ],
    )
    def test_as_it_is_sent(self, event: Event, sent: bytes) -> None:
        assert event.encode() == sent

    @pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0"])
    def test_what_would_end_a_line(self, bad: str) -> None:
        with pytest.raises(ValueError, match="the event"):
            Event("x", event=bad)
        with pytest.raises(ValueError, match="the id"):
            Event("x", id=bad)

    def test_repr(self) -> None:
        assert repr(Event("a", id=1)) == "Event('a', event=None, id=1)"


HEAD = b"GET / HTTP/1.1\r\n"


class TestConvert:
    """What crosses for what a handler returns."""

    @pytest.mark.parametrize("value", [b"a", "a", None])
    def test_as_it_is(self, value: Any) -> None:
        assert convert(value, HEAD) is value

    @pytest.mark.parametrize(
        ("value", "headers", "body"),
        [
            ({"a": "ä", "b": [1, None]}, ["application/json"], '{"a":"ä","b":[1,null]}'.encode()),
            ([], ["application/json"], b"[]"),
            (Response(b"a"), ["application/octet-stream"], b"a"),
            (Response("ä"), ["text/plain; charset=utf-8"], "ä".encode()),
            (Response({"a": 1}), ["application/json"], b'{"a":1}'),
            (Response(), [], b""),
            (Response(None), [], b""),
            (Response(b"a", headers={"Content-Type": "x/y"}), ["x/y"], b"a"),
            (Response(b"a", content_type="x/y"), ["x/y"], b"a"),
            (bytearray(b"a"), ["application/octet-stream"], b"a"),
            (memoryview(b"a"), ["application/octet-stream"], b"a"),
        ],
    )
    def test_whole(self, value: Any, headers: list[str], body: bytes) -> None:
        mark, _, status, pairs, sent = convert(value, HEAD)
        assert (mark, status, sent) == (MARK, 200, body)
        assert [text for _, text in pairs] == headers

    def test_subclasses(self) -> None:
        class Text(str):
            pass

        assert convert(Text("a"), HEAD)[4] == b"a"

    def test_a_response_can_be_used_again(self) -> None:
        response = Response("a")
        first = convert(response, HEAD)
        response.headers["x"] = "y"
        assert convert(response, HEAD) != first
        assert len(first[3]) == 1

    def test_last(self) -> None:
        _, _, _, pairs, body = convert(fastloop.last({"a": 1}), HEAD)
        assert ("connection", "close") in pairs
        assert body == b'{"a":1}'

    def test_files(self) -> None:
        file = fastloop.file("/x", headers={"a": "b"})
        assert convert(file, HEAD)[2:] == (b"/x", HEAD, [("a", "b")])
        assert convert(Response(file, headers={"c": "d"}), HEAD)[4] == [("a", "b"), ("c", "d")]

    @pytest.mark.parametrize("value", [iter([b"a"]), (c for c in "a"), map(str, [1])])
    def test_iterators(self, value: Any) -> None:
        found = convert(value, HEAD)
        assert type(found) is Stream
        assert found.source is value
        assert not found.is_async

    def test_async_iterators(self) -> None:
        async def pieces() -> Any:
            yield b"a"

        found = convert(pieces(), HEAD)
        assert type(found) is Stream
        assert found.is_async

    @pytest.mark.parametrize("value", [5, 1.5, True, ("a", 200), {1}, object(), fastloop.NOTHING])
    def test_what_is_no_reply(self, value: Any) -> None:
        with pytest.raises(TypeError, match=f"returned {type(value).__name__}: return bytes, str"):
            convert(value, HEAD)

    def test_a_coroutine(self) -> None:
        async def reply() -> None: ...

        coroutine = reply()
        with pytest.raises(TypeError, match="declare it with `async def`"):
            convert(coroutine, HEAD)
        coroutine.close()


@pytest.mark.parametrize("module", ["orjson", None])
class TestJson:
    """By orjson, and without it."""

    @pytest.fixture(autouse=True)
    def serial(self, module: str | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        if module is not None:
            pytest.importorskip(module)
            yield
            return
        monkeypatch.setitem(sys.modules, "orjson", None)
        importlib.reload(serial)
        yield
        monkeypatch.undo()
        importlib.reload(serial)

    def test_writing(self, module: str | None) -> None:
        value = {"ä": [1, 1.5, None, True, '"\n'], 5: {"": []}}
        assert serial.dumps(value) == '{"ä":[1,1.5,null,true,"\\"\\n"],"5":{"":[]}}'.encode()
        for bad in (object(), {"a": {1}}, b"bytes"):
            with pytest.raises(TypeError):
                serial.dumps(bad)

    def test_reading(self, module: str | None) -> None:
        assert serial.loads('{"ä": [1, 1.5, null, true]}'.encode()) == {"ä": [1, 1.5, None, True]}
        for bad in (b"", b"{", b"'a'", b"[1,]", b"nul"):
            with pytest.raises(ValueError, match=r"line|unexpected|EOF|input"):
                serial.loads(bad)
