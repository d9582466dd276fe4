"""Forms, as browsers and others write them."""

from __future__ import annotations

import sys

import pytest

from fastloop import ConfigError, HTTPError
from fastloop.http import UploadFile, forms
from fastloop.http.forms import Form, FormReader

pytest.importorskip("python_multipart")

BOUNDARY = b"XyZ"
MULTIPART = 'multipart/form-data; boundary="XyZ"'
URLENCODED = "application/x-www-form-urlencoded"


def part(disposition: str, body: bytes, *fields: bytes) -> bytes:
    """One part, with its boundary in front."""
    head = b"\r\n".join([b"Content-Disposition: " + disposition.encode(), *fields])
    return b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + body + b"\r\n"


END = b"--" + BOUNDARY + b"--\r\n"


def read(content_type: str, data: bytes, step: int = 0) -> Form:
    """The form, read at once or in steps of so many bytes."""
    reader = FormReader(content_type)
    for at in range(0, len(data), step or max(1, len(data))):
        reader.feed(data[at : at + step] if step else data)
    return reader.finish()


class TestUrlencoded:
    @pytest.mark.parametrize("step", [0, 1, 3])
    def test_fields(self, step: int) -> None:
        form = read(URLENCODED + "; charset=utf-8", b"a=1&b=%C3%A4+x&a=2&c=&d", step)
        assert form.items() == [("a", "1"), ("b", "ä x"), ("a", "2"), ("c", ""), ("d", "")]

    def test_nothing(self) -> None:
        assert len(read(URLENCODED, b"")) == 0

    def test_too_many(self) -> None:
        assert len(read(URLENCODED, b"&".join([b"a=1"] * forms.MAX_PARTS)).values()) == 1000
        with pytest.raises(HTTPError, match="413"):
            read(URLENCODED, b"&".join([b"a=1"] * (forms.MAX_PARTS + 1)))


class TestMultipart:
    DATA = (
        part('form-data; name="a"', b"1")
        + part('form-data; name="ä"', "ö".encode())
        + part('form-data; name="a"', b"")
        + part(
            'form-data; name="f"; filename="x \u20ac.txt"',
            b"line\r\n--Xy\r\n",
            b"Content-Type: text/plain",
            b"X-Own: 1",
        )
        + part('form-data; name="g"; filename=""', b"")
        + END
    )

    @pytest.mark.parametrize("step", [0, 1, 2, 7, 64])
    def test_fields_and_files(self, step: int) -> None:
        form = read(MULTIPART, self.DATA, step)
        assert form.getall("a") == ["1", ""]
        assert form["ä"] == "ö"
        file = form["f"]
        assert isinstance(file, UploadFile)
        assert (file.filename, file.content_type, file.size) == ("x \u20ac.txt", "text/plain", 12)
        assert file.headers["x-own"] == "1"
        assert file.read(4) == b"line"
        assert file.read() == b"\r\n--Xy\r\n"
        assert repr(file) == "<UploadFile 'x \u20ac.txt', 12 bytes of text/plain>"
        empty = form["g"]
        assert isinstance(empty, UploadFile)
        assert (empty.filename, empty.content_type) == ("", "application/octet-stream")
        assert empty.read() == b""

    def test_a_large_file_is_on_disk(self) -> None:
        data = bytes(range(256)) * (forms.SPOOL // 256 + 1)
        form = read(MULTIPART, part('form-data; name="f"; filename="x"', data) + END, 64 * 1024)
        file = form["f"]
        assert isinstance(file, UploadFile)
        assert file.file._rolled  # type: ignore[attr-defined]
        assert file.read() == data
        file.file.close()

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"", "400 the form ends before"),
            (b"junk", "400"),
            (DATA[:-10], "400 the form ends before"),
            (part("form-data", b"1") + END, "400 a part of the form has no name"),
            (part('attachment; name="a"', b"1") + END, "400 a part of the form has no name"),
            (b"--XyZ\r\n\r\nbody\r\n" + END, "400 a part of the form has no name"),
            (b"--XyZ\r\nA\r\n\r\n\r\n" + END, "400 a malformed form"),
            (part('form-data; name="a"', bytes(forms.MAX_FIELD + 1)) + END, "413 the field 'a'"),
            (part('form-data; name="a"', b"") * (forms.MAX_PARTS + 1) + END, "413 more than 1000"),
        ],
    )
    def test_mistakes(self, data: bytes, why: str) -> None:
        with pytest.raises(HTTPError, match=why):
            read(MULTIPART, data, 1000)

    @pytest.mark.parametrize("type", ["multipart/form-data", 'multipart/form-data; boundary=""'])
    def test_no_boundary(self, type: str) -> None:
        with pytest.raises(HTTPError, match=r"400 .* no boundary"):
            FormReader(type)


@pytest.mark.parametrize("type", ["", "text/plain", "multipart/mixed; boundary=a", "json"])
def test_what_is_no_form(type: str) -> None:
    with pytest.raises(HTTPError, match="415"):
        FormReader(type)


def test_without_a_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_multipart", None)
    with pytest.raises(ConfigError, match=r"pip install 'fastloop-server\[forms\]'"):
        FormReader(MULTIPART)
    assert read(URLENCODED, b"a=1")["a"] == "1"
