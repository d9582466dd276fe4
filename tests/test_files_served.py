"""Static files as clients see them: paths, ranges, conditions, codings, and files that change."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from client import wait_for
from http_client import HttpClient, Response, request

import fastloop
from conftest import Serve

SECRET = b"the secret of another directory"
NUMBERS = b"0123456789" * 100
MIB = 1024 * 1024

Site = Callable[..., HttpClient]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with something of everything, and neighbours that are none of its business."""
    files = {
        "secret.txt": SECRET,
        "www-backup/secret.txt": SECRET,
        "www/index.html": b"<h1>index</h1>",
        "www/numbers.txt": NUMBERS,
        "www/empty.txt": b"",
        "www/sub/index.html": b"<h1>sub</h1>",
        "www/sub/page.html": b"<h1>page</h1>",
        "www/bare/a&b <i>.txt": b"bare",
        "www/bare/.hidden": SECRET,
        "www/.hidden": SECRET,
        "www/.git/config": SECRET,
        "www/with space.txt": b"space",
        "www/100%.txt": b"percent",
        "www/a+b.txt": b"plus",
        "www/\u00fcmlaut.txt": b"umlaut",
        "www/app.js": b"plain();" * 100,
        "www/app.js.gz": b"\x1f\x8b gzip",
        "www/app.js.br": b"brotli",
        "www/app.js.zst": b"zstandard",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    www = tmp_path / "www"
    (www / "inside").symlink_to("numbers.txt")
    (www / "outside").symlink_to("../secret.txt")
    (www / "absolute").symlink_to(tmp_path / "secret.txt")
    (www / "up").symlink_to("..")
    (www / "loop").symlink_to("loop")
    os.mkfifo(www / "fifo")
    return www


@pytest.fixture
def site(serve: Serve, root: Path) -> Site:
    """A client of a server of these files: ``site(**options of Router.static)``."""

    def start(**options: Any) -> HttpClient:
        app = fastloop.Router()
        app.static("/", root, **options)
        return HttpClient(serve(app, "http://127.0.0.1:0", framing=None))

    return start


def same_but_body(one: Response, other: Response) -> bool:
    """Whether two responses have the same head, but for the time."""
    heads = [[f for f in each.fields if f[0] != "date"] for each in (one, other)]
    return one.status == other.status and heads[0] == heads[1]


# -- paths --


@pytest.mark.parametrize(
    ("path", "body", "type"),
    [
        ("/", b"<h1>index</h1>", "text/html; charset=utf-8"),
        ("/index.html", b"<h1>index</h1>", "text/html; charset=utf-8"),
        ("/?a=b", b"<h1>index</h1>", "text/html; charset=utf-8"),
        ("/sub/", b"<h1>sub</h1>", "text/html; charset=utf-8"),
        ("/sub/page.html", b"<h1>page</h1>", "text/html; charset=utf-8"),
        ("/numbers.txt", NUMBERS, "text/plain; charset=utf-8"),
        ("/%6e%75mbers%2etxt?x", NUMBERS, "text/plain; charset=utf-8"),
        ("/empty.txt", b"", "text/plain; charset=utf-8"),
        ("/with%20space.txt", b"space", "text/plain; charset=utf-8"),
        ("/100%25.txt", b"percent", "text/plain; charset=utf-8"),
        ("/a+b.txt", b"plus", "text/plain; charset=utf-8"),
        ("/%C3%BCmlaut.txt", b"umlaut", "text/plain; charset=utf-8"),
        ("/app.js", b"plain();" * 100, "text/javascript; charset=utf-8"),
        ("/app.js.gz", b"\x1f\x8b gzip", "application/gzip"),
        ("/inside", NUMBERS, "application/octet-stream"),
        ("http://a/numbers.txt", NUMBERS, "text/plain; charset=utf-8"),
    ],
)
def test_a_file(site: Site, path: str, body: bytes, type: str) -> None:
    with site() as client:
        response = client.get(path)
        assert (response.status, response.body, response["content-type"]) == (200, body, type)
        assert response["content-length"] == str(len(body))
        assert response["accept-ranges"] == "bytes"
        assert re.fullmatch(r'"[\x21\x23-\x7e]+"', response["etag"])
        assert "last-modified" in response
        again, head = client.get(path), client.ask("HEAD", path)
        assert again.body == body
        assert same_but_body(response, again)
        assert same_but_body(response, head)


TRAVERSAL = [
    *("/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt", "/.%2e/secret.txt"),
    *("/..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/sub/..%2f..%2fsecret.txt", "/..%2F"),
    *("/..\\secret.txt", "/..%5csecret.txt", "/sub/..%5c..%5csecret.txt", "/\\..\\secret.txt"),
    *("/%252e%252e/secret.txt", "/..%252fsecret.txt", "/%c0%ae%c0%ae/secret.txt"),
    *("/%e0%80%ae%e0%80%ae/secret.txt", "/..%c0%afsecret.txt", "/..%ef%bc%8fsecret.txt"),
    *("/..;/secret.txt", "/...//secret.txt", "/....//secret.txt", "/./../secret.txt"),
    *("//../secret.txt", "///secret.txt", "/sub//../../secret.txt", "/../www-backup/secret.txt"),
    *("-backup/secret.txt", "/../../../../../../../../../../etc/passwd", "//etc/passwd"),
    *("/etc/passwd", "/%2fetc%2fpasswd", "/file:///etc/passwd", "/~root/", "/up/secret.txt"),
    *("/outside", "/absolute", "/up", "/up/", "/up/www/numbers.txt", "/loop", "/loop/a"),
    *("/.hidden", "/%2ehidden", "/.git/config", "/.git/", "/.git", "/bare/.hidden"),
    *("/numbers.txt/", "/numbers.txt/..", "/numbers.txt/.", "/numbers.txt/secret.txt"),
    *("/numbers.txt%00", "/numbers.txt%00.html", "/%00", "/%", "/%2", "/%zz", "/numbers.txt%0a"),
    *("/fifo", "/sub%2fpage.html", "/nothing", "/NUMBERS.TXT", "/" + "a" * 300, "/" + "a/" * 2000),
    *("/numbers.txt%20", "/numbers.txt.", "/numbers.txt::$DATA", "/*", "/bare/", "/bare"),
]


def test_what_is_not_served(site: Site) -> None:
    """Whatever is not there, not ours, or no file looks the same, and says nothing of why."""
    with site() as client:
        missing = client.get("/missing")
        assert missing.status == 404
        for path in TRAVERSAL:
            if not path.startswith("/"):
                continue
            response = client.get(path)
            assert SECRET not in response.body
            assert b"root:" not in response.body
            if path != "/bare":
                assert response.status in (400, 404), path
            if response.status == 404:
                assert same_but_body(response, missing), path
                assert response.body == missing.body, path
        assert client.get("/numbers.txt").body == NUMBERS


def test_prefixes_end_at_a_slash(serve: Serve, root: Path) -> None:
    """A directory below /a is not at /ab, and its neighbour with a longer name is not below it."""
    app = fastloop.Router()
    app.static("/a", root)
    app.get("/ab")(lambda request: "handler")
    with HttpClient(serve(app, "http://127.0.0.1:0", framing=None)) as client:
        assert client.get("/a/numbers.txt").body == NUMBERS
        assert client.get("/ab").body == b"handler"
        for path in ("/a-backup/secret.txt", "/anumbers.txt", "/a../secret.txt", "/numbers.txt"):
            assert client.get(path).status == 404
        response = client.get("/a")
        assert (response.status // 100, response["location"]) == (3, "/a/")


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/sub", "/sub/"),
        ("/sub?a=b&c", "/sub/?a=b&c"),
        ("/bare", "/bare/"),
        ("http://a/sub", "/sub/"),
        ("/%73ub", "/%73ub/"),
    ],
)
def test_a_directory_without_its_slash(site: Site, path: str, location: str) -> None:
    with site(listing=True) as client:
        response = client.get(path)
        assert response.status in (301, 308)
        assert response["location"] == location
        assert same_but_body(response, client.ask("HEAD", path))


@pytest.mark.parametrize("path", ["//sub", "///sub", "//sub?x", "/\\sub", "//evil.example/sub/.."])
def test_no_redirect_leads_elsewhere(site: Site, path: str) -> None:
    """A Location that begins with two slashes would name another server."""
    with site() as client:
        response = client.get(path)
        assert response.status in (400, 404) or not re.match(r"[/\\]{2}", response["location"])


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods(site: Site, method: str) -> None:
    with site() as client:
        response = client.ask(method, "/numbers.txt", b"body")
        assert response.status == 405
        assert {"GET", "HEAD"} <= set(response["allow"].split(", "))
        assert client.get("/numbers.txt").status == 200


def test_a_page_that_lists(site: Site, root: Path) -> None:
    """Everything that is served, as links that lead to it, and nothing else."""
    with site(listing=True, index="") as client:
        response = client.get("/bare/")
        assert response["content-type"] == "text/html; charset=utf-8"
        assert "a&amp;b &lt;i&gt;.txt" in response.text
        assert "<i>" not in response.text
        assert "hidden" not in response.text
        links = re.findall(r'href="([^"]+)"', response.text)
        assert "./a%26b%20%3Ci%3E.txt" in links
        assert client.get("/bare/a%26b%20%3Ci%3E.txt").body == b"bare"
        page = client.get("/").text
        assert 'href="./sub/"' in page
        assert 'href="./numbers.txt"' in page
        for name in (".hidden", ".git", "fifo", "outside", "absolute", "secret", 'href="./up'):
            assert name not in page
        head = client.ask("HEAD", "/bare/")
        assert head["content-length"] == str(len(response.body))
    with site(index="") as client:
        assert client.get("/").status == 404


def test_hidden_files_if_wanted(site: Site) -> None:
    with site(hidden=True) as client:
        assert client.get("/.hidden").body == SECRET
        assert client.get("/../secret.txt").status == 404


# -- ranges --


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-99", 0, 99),
        ("bytes=0-0", 0, 0),
        ("bytes=999-", 999, 999),
        ("bytes=-1", 999, 999),
        ("bytes=-2000", 0, 999),
        ("bytes=500-", 500, 999),
        ("bytes=990-5000", 990, 999),
        ("bytes=5-99999999999999999999999", 5, 999),
        ("bytes=0-10,5-20", 0, 20),
        ("bytes=0-4, 5-9", 0, 9),
        ("bytes=0-9,2000-", 0, 9),
        ("BYTES=1-2", 1, 2),
    ],
)
def test_one_range(site: Site, wanted: str, first: int, last: int) -> None:
    with site() as client:
        response = client.get("/numbers.txt", range=wanted)
        assert response.status == 206
        assert response["content-range"] == f"bytes {first}-{last}/1000"
        assert response.body == NUMBERS[first : last + 1]
        assert response["etag"] == client.get("/numbers.txt")["etag"]


@pytest.mark.parametrize(
    "wanted", ["bytes=1000-", "bytes=-0", "bytes=2000-3000", "bytes=99999999999999999999-"]
)
def test_ranges_that_there_are_not(site: Site, wanted: str) -> None:
    with site() as client:
        response = client.get("/numbers.txt", range=wanted)
        assert (response.status, response["content-range"]) == (416, "bytes */1000")
        assert client.get("/numbers.txt").body == NUMBERS


@pytest.mark.parametrize(
    "wanted", ["", "lines=0-1", "bytes", "bytes 0-1", "0-1", "bytes=" + ",".join(["0-"] * 1000)]
)
def test_ranges_that_are_none(site: Site, wanted: str) -> None:
    """Of another unit, or (CVE-2011-3192, CVE-2025-62727) too many: all of it is sent, once."""
    with site() as client:
        response = client.get("/numbers.txt", range=wanted)
        assert response.status in (200, 206)
        assert response.body == NUMBERS


@pytest.mark.parametrize(
    "wanted", ["bytes=5-2", "bytes=a-b", "bytes=--1", "bytes=1-2x", "bytes=0x1-2"]
)
def test_malformed_ranges(site: Site, wanted: str) -> None:
    """RFC 9110, 14.2: refused, or not looked at; never read as something else."""
    with site() as client:
        response = client.get("/numbers.txt", range=wanted)
        assert response.status == 416 or response.body == NUMBERS


def test_a_range_of_nothing(site: Site) -> None:
    with site() as client:
        assert client.get("/empty.txt", range="bytes=0-").status == 416
        assert client.get("/empty.txt", range="bytes=-5").status == 416


def test_ranges(site: Site) -> None:
    """Several: each as a part of its own, in the order asked for."""
    with site() as client:
        response = client.get("/numbers.txt", range="bytes=990-999, 0-9, 100-109")
        assert response.status == 206
        match = re.fullmatch(r"multipart/byteranges; boundary=(\S+)", response["content-type"])
        assert match
        boundary = match[1].strip('"').encode()
        first, *parts, end = response.body.split(b"--" + boundary)
        assert first in (b"", b"\r\n")
        assert end == b"--\r\n"
        found = []
        for part in parts:
            head, _, body = part.partition(b"\r\n\r\n")
            assert b"content-type: text/plain; charset=utf-8" in head.lower()
            range_of = re.search(rb"(?i)content-range: bytes (\d+)-(\d+)/1000", head)
            assert range_of
            assert body == NUMBERS[int(range_of[1]) : int(range_of[2]) + 1] + b"\r\n"
            found.append(int(range_of[1]))
        assert found == [990, 0, 100]
        head_only = client.ask("HEAD", "/numbers.txt", range="bytes=0-9")
        assert head_only.status == 200
        assert head_only["content-length"] == "1000"


# -- conditions --


def test_a_client_that_has_it(site: Site) -> None:
    with site(cache_control="max-age=60") as client:
        response = client.get("/numbers.txt")
        etag, modified = response["etag"], response["last-modified"]
        old = formatdate(1, usegmt=True)
        for fields in (
            {"if_none_match": etag},
            {"if_none_match": f"W/{etag}"},
            {"if_none_match": f'"a", {etag}'},
            {"if_none_match": "*"},
            {"if_modified_since": modified},
            {"if_modified_since": formatdate(time.time() + 100_000, usegmt=True)},
            {"if_none_match": etag, "if_modified_since": old},
        ):
            answer = client.get("/numbers.txt", **fields)
            assert answer.status == 304, fields
            assert answer["etag"] == etag
            assert answer["cache-control"] == "max-age=60"
            assert client.ask("HEAD", "/numbers.txt", None, **fields).status == 304
        for fields in (
            {"if_none_match": '"other"'},
            {"if_none_match": etag.strip('"')},
            {"if_none_match": ""},
            {"if_modified_since": old},
            {"if_modified_since": "yesterday"},
            {"if_none_match": '"other"', "if_modified_since": modified},
        ):
            answer = client.get("/numbers.txt", **fields)
            assert (answer.status, answer.body) == (200, NUMBERS), fields


def test_a_client_that_insists(site: Site) -> None:
    with site() as client:
        response = client.get("/numbers.txt")
        etag, modified = response["etag"], response["last-modified"]
        old = formatdate(1, usegmt=True)
        for fields, status in (
            ({"if_match": etag}, 200),
            ({"if_match": "*"}, 200),
            ({"if_match": f'"a", {etag}'}, 200),
            ({"if_match": '"a"'}, 412),
            ({"if_match": f"W/{etag}"}, 412),
            ({"if_unmodified_since": modified}, 200),
            ({"if_unmodified_since": old}, 412),
            ({"if_match": etag, "if_unmodified_since": old}, 200),
            ({"if_match": etag, "if_none_match": etag}, 304),
        ):
            assert client.get("/numbers.txt", **fields).status == status, fields
        assert client.get("/missing", if_match="*").status == 404


def test_a_range_of_what_a_client_has(site: Site) -> None:
    with site() as client:
        response = client.get("/numbers.txt")
        etag, modified = response["etag"], response["last-modified"]
        for has, status in (
            (etag, 206),
            (modified, 206),
            ('"other"', 200),
            (f"W/{etag}", 200),
            (formatdate(1, usegmt=True), 200),
        ):
            answer = client.get("/numbers.txt", range="bytes=0-9", if_range=has)
            assert answer.status == status, has
        answer = client.get("/numbers.txt", range="bytes=5000-", if_range='"other"')
        assert answer.status == 200
        assert client.get("/numbers.txt", range="bytes=0-9", if_none_match=etag).status == 304


# -- codings --


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, br", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0, gzip;q=0, zstd;q=0", None),
        ("zstd", "zstd"),
        ("*", "br"),
        ("*;q=0", None),
        ("gzip;q=0", None),
        ("identity", None),
        ("", None),
        ("deflate", None),
        ("gzipped", None),
        ("br;q=0.1, *;q=0", "br"),
    ],
)
def test_a_coding(site: Site, accepted: str | None, coding: str | None) -> None:
    bodies = {
        None: b"plain();" * 100,
        "gzip": b"\x1f\x8b gzip",
        "br": b"brotli",
        "zstd": b"zstandard",
    }
    fields = {} if accepted is None else {"accept_encoding": accepted}
    with site() as client:
        response = client.get("/app.js", **fields)
        assert response.body == bodies[coding]
        assert response.all("content-encoding") == ([coding] if coding else [])
        assert response["content-type"] == "text/javascript; charset=utf-8"
        assert response["vary"].lower() == "accept-encoding"
        assert client.get("/app.js", **fields, if_none_match=response["etag"]).status == 304
        other = "gzip" if coding is None else "identity"
        assert client.get("/app.js", accept_encoding=other)["etag"] != response["etag"]


def test_a_range_of_a_coding(site: Site) -> None:
    """A range is of the coded bytes."""
    with site() as client:
        response = client.get("/app.js", accept_encoding="br", range="bytes=0-2")
        assert (response.status, response.body) == (206, b"bro")
        assert response["content-range"] == "bytes 0-2/6"
        assert response["content-encoding"] == "br"


# -- caches --


def test_cache_control(site: Site, root: Path) -> None:
    (root / "app-0123abcd.js").write_bytes(b"x")
    with site(cache_control="no-cache", immutable="*-????????.js") as client:
        assert client.get("/numbers.txt")["cache-control"] == "no-cache"
        assert "immutable" in client.get("/app-0123abcd.js")["cache-control"]
        assert "immutable" not in client.get("/app.js")["cache-control"]


@pytest.mark.parametrize("size", [100, 300_000])
def test_a_file_that_was_changed(site: Site, root: Path, size: int) -> None:
    """Is seen to be so within a second or two, from memory or not."""
    path = root / "changing"
    path.write_bytes(b"a" * size)
    with site() as client:
        before = client.get("/changing")
        assert before.body == b"a" * size
        other = root / "other"
        other.write_bytes(b"b" * size)
        other.rename(path)
        wait_for(lambda: client.get("/changing").body == b"b" * size)
        after = client.get("/changing")
        assert after["etag"] != before["etag"]
        assert client.get("/changing", if_none_match=before["etag"]).status == 200
        path.unlink()
        wait_for(lambda: client.get("/changing").status == 404)
        path.write_bytes(b"c" * size)
        wait_for(lambda: client.get("/changing").body == b"c" * size)


# -- many, large, slow, and gone --


def test_files_and_handlers_in_order(serve: Serve, root: Path) -> None:
    app = fastloop.Router()
    app.static("/files", root)
    app.get("/hello")(lambda request: "hello")
    (root / "large").write_bytes(b"L" * 300_000)
    with HttpClient(serve(app, "http://127.0.0.1:0", framing=None)) as client:
        paths = ["/hello", "/files/numbers.txt", "/hello", "/files/missing", "/files/large"] * 10
        client.send(b"".join(request("GET", path) for path in paths))
        bodies = [client.response().body for _ in paths]
        missing = bodies[3]
        assert bodies == [b"hello", NUMBERS, b"hello", missing, b"L" * 300_000] * 10


def test_http_1_0(site: Site) -> None:
    with site() as client:
        kept = client.ask("GET", "/numbers.txt", version="1.0", connection="keep-alive")
        assert kept["connection"].lower() == "keep-alive"
        last = client.ask("GET", "/numbers.txt", version="1.0")
        assert (kept.body, last.body, last.is_last) == (NUMBERS, NUMBERS, True)
        assert client.is_closed()


def test_a_large_file(site: Site, root: Path) -> None:
    """Whole, in ranges, and to a client that takes its time."""
    content = os.urandom(MIB) * 12
    (root / "large").write_bytes(content)
    with site() as client:
        assert client.get("/large").body == content
        for first in (0, 1, 64 * 1024 - 1, MIB, 7 * MIB + 13):
            answer = client.get("/large", range=f"bytes={first}-{first + 3 * MIB}")
            assert answer.body == content[first : first + 3 * MIB + 1]
        client.send(request("GET", "/large"))
        time.sleep(0.05)
        assert client.response().body == content


def open_response(client: HttpClient, target: str) -> int:
    """Asks, and reads no more than the head; the length of the body."""
    client.send(request("GET", target))
    length = 0
    while (line := client.client.line()) != b"\r\n":
        name, _, value = line.partition(b": ")
        if name.lower() == b"content-length":
            length = int(value)
    return length


def test_a_file_that_shrinks_while_it_is_sent(serve: Serve, root: Path) -> None:
    """The client gets less than it was told, and a close. (NUL: the rest of the page in which the
    file ends now, which the kernel may have been about to send.)"""
    app = fastloop.Router()
    app.static("/", root)
    server = serve(app, "http://127.0.0.1:0", framing=None)
    path = root / "large"
    path.write_bytes(b"L" * 30 * MIB)
    with HttpClient(server, receive_buffer=4096) as client, HttpClient(server) as other:
        assert open_response(client, "/large") == 30 * MIB
        os.truncate(path, 1000)
        try:
            body = client.client.rest()
        except ConnectionResetError:
            body = b""
        assert len(body) < 30 * MIB
        assert not body.replace(b"\0", b"").strip(b"L")
        assert other.get("/numbers.txt").body == NUMBERS
        assert other.get("/large", range="bytes=0-9").status in (200, 206)


def test_a_file_that_vanishes_while_it_is_sent(serve: Serve, root: Path) -> None:
    """What was open is sent to its end."""
    app = fastloop.Router()
    app.static("/", root)
    server = serve(app, "http://127.0.0.1:0", framing=None)
    path = root / "large"
    path.write_bytes(b"L" * 30 * MIB)
    with HttpClient(server, receive_buffer=4096) as client, HttpClient(server) as other:
        assert open_response(client, "/large") == 30 * MIB
        path.unlink()
        assert client.client.read(30 * MIB) == b"L" * 30 * MIB
        assert client.get("/numbers.txt").body == NUMBERS
        wait_for(lambda: other.get("/large").status == 404)


def test_clients_that_leave_in_the_middle(serve: Serve, root: Path) -> None:
    """Nothing of them is left: the fixture looks for descriptors and connections."""
    app = fastloop.Router()
    app.static("/", root)
    server = serve(app, "http://127.0.0.1:0", framing=None)
    (root / "large").write_bytes(b"L" * 8 * MIB)
    for n in range(20):
        client = HttpClient(server, receive_buffer=4096)
        assert open_response(client, "/large") == 8 * MIB
        client.client.reset() if n % 2 else client.close()
    wait_for(lambda: server.stats().connections == 0)


def test_a_directory_that_is_gone(serve: Serve, root: Path) -> None:
    """Moved away or removed while it is served: 404, and back when it is."""
    app = fastloop.Router()
    app.static("/", root)
    with HttpClient(serve(app, "http://127.0.0.1:0", framing=None)) as client:
        assert client.get("/sub/page.html").status == 200
        (root / "sub").rename(root / "moved")
        wait_for(lambda: client.get("/sub/page.html").status == 404)
        (root / "moved").rename(root / "sub")
        wait_for(lambda: client.get("/sub/page.html").status == 200)
