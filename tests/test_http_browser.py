"""A real browser: headless Chromium loads a page, seeks in a video, and follows events.

The page tells what it saw by a POST of its own, so nothing but the browser is needed. Skipped
where there is none; .ci/run installs it.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import SANITIZED
from stage import Stage

import fastloop
from conftest import Serve
from fastloop.examples import web

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
SECONDS = 60

pytestmark = pytest.mark.skipif(
    BROWSER is None or SANITIZED, reason="needs a browser, which no sanitizer may be loaded into"
)

PAGE = """<!doctype html>
<title>A page</title>
<link rel="stylesheet" href="style.css">
<link rel="icon" href="data:,">
<video muted preload="metadata"></video>
<script type="module" src="script.js"></script>
"""

STYLE = "body { color: rgb(1, 2, 3) }"

SCRIPT = """
const post = (value) => fetch("/report", {method: "POST", body: JSON.stringify(value)});
const until = (target, name) => new Promise((done, failed) => {
    target.addEventListener(name, done, {once: true});
    target.addEventListener("error", () => failed(new Error(`no ${name}`)), {once: true});
});

async function page() {
    const answer = await fetch("/hello?name=%C3%A9");
    return {
        title: document.title,
        color: getComputedStyle(document.body).color,
        hello: await answer.json(),
        missing: (await fetch("missing")).status,
        pictures: (await Promise.all(
            [...Array(50).keys()].map(async n => (await fetch(`/hello?name=${n}`)).status)
        )).filter(status => status == 200).length,
    };
}

async function range() {
    const part = await fetch("tone.wav", {headers: {Range: "bytes=8-11"}});
    return [part.status, part.headers.get("Content-Range"), await part.text()];
}

async function video() {
    const video = document.querySelector("video");
    video.src = "tone.wav";
    await until(video, "loadedmetadata");
    const seekable = video.seekable.length ? video.seekable.end(0) : 0;
    video.currentTime = video.duration - 1;
    await until(video, "seeked");
    return {duration: video.duration, seekable, time: video.currentTime};
}

function events() {
    const source = new EventSource("/events");
    const seen = [];
    return new Promise((done, failed) => {
        source.onmessage = event => seen.push(event.data);
        source.onerror = () => source.readyState == EventSource.CLOSED && failed("no events");
        source.addEventListener("end", event => {
            source.close();
            done([...seen, event.data, event.lastEventId]);
        });
    });
}

async function stream() {
    const body = (await fetch("/stream")).body.pipeThrough(new TextDecoderStream());
    let size = 0;
    for await (const piece of body)
        size += piece.length;
    return size;
}

async function upload() {
    const form = new FormData();
    form.append("text", "caf\\u00e9");
    form.append("file", new Blob(["x".repeat(100000)]), "x.txt");
    return (await fetch("/length", {method: "POST", body: form})).json();
}

try {
    const report = {};
    for (const step of [page, range, video, events, stream, upload])
        report[step.name] = await step();
    await post(report);
} catch (error) {
    await post({error: String(error)});
}
"""

RATE, CHANNELS, WIDTH = 44_100, 2, 2
LENGTH = 120
"""Seconds of silence: 21 MB, more than a browser fetches before one seeks."""


def write_tone(path: Path) -> None:
    """A WAV file, almost all of it a hole."""
    rate = RATE * CHANNELS * WIDTH
    size = rate * LENGTH
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, CHANNELS, RATE, rate, CHANNELS * WIDTH, 16)
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE" + form
    path.write_bytes(head + b"data" + struct.pack("<I", size))
    os.truncate(path, len(head) + 8 + size)


def application(root: Path, reports: queue.Queue[Any]) -> fastloop.Router:
    """Files, and what the script asks for."""
    app = fastloop.Router()
    app.static("/www", root)

    @app.get("/hello")
    def hello(request: Any) -> Any:
        return {"hello": request.query["name"]}

    @app.get("/stream")
    def stream(request: Any) -> Iterator[bytes]:
        return (b"x" * 1000 for _ in range(1000))

    @app.post("/length")
    def length(request: Any) -> Any:
        return {"length": len(request.body), "type": request.content_type}

    @app.get("/events")
    def events(request: Any) -> Any:
        """Ends after two; whoever comes again gets the rest."""
        if request.headers.get("last-event-id") == "2":
            return fastloop.sse([fastloop.http.Event("bye", event="end", id=3)])
        first = fastloop.http.Event("line 1\nline 2", id=1, retry=10)
        return fastloop.sse([first, fastloop.http.Event({"n": 2}, id=2)])

    @app.post("/report")
    def report(request: Any) -> None:
        reports.put(request.json())

    return app


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Any]:
    """Opens an address in a browser."""
    started: list[subprocess.Popen[bytes]] = []

    def start(url: str) -> subprocess.Popen[bytes]:
        assert BROWSER is not None
        options = [
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--no-first-run", "--disable-extensions", "--disable-background-networking"),
            *("--mute-audio", "--remote-debugging-port=0", "--no-proxy-server"),
            f"--user-data-dir={tmp_path / 'profile'}",
        ]
        with (tmp_path / "browser.log").open("wb") as log:
            browser = subprocess.Popen(
                [BROWSER, *options, url],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started.append(browser)
        return browser

    yield start
    for browser in started:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()


@pytest.mark.shared_state
def test_a_page(serve: Serve, way: str, tmp_path: Path, browse: Any) -> None:
    root = tmp_path / "www"
    root.mkdir()
    (root / "index.html").write_text(PAGE)
    (root / "style.css").write_text(STYLE)
    (root / "script.js").write_text(SCRIPT)
    write_tone(root / "tone.wav")
    reports: queue.Queue[Any] = queue.Queue()
    server = serve(application(root, reports), "http://127.0.0.1:0", framing=None, linger=5)
    browse(f"http://127.0.0.1:{server.port}/www/")
    report = reports.get(timeout=SECONDS)
    assert report.get("error") is None
    assert report["page"] == {
        "title": "A page",
        "color": "rgb(1, 2, 3)",
        "hello": {"hello": "\u00e9"},
        "missing": 404,
        "pictures": 50,
    }
    size = (root / "tone.wav").stat().st_size
    assert report["range"] == [206, f"bytes 8-11/{size}", "WAVE"]
    assert report["video"] == {"duration": LENGTH, "seekable": LENGTH, "time": LENGTH - 1}
    assert report["events"] == ["line 1\nline 2", '{"n":2}', "bye", "3"]
    assert report["stream"] == 1_000_000
    assert report["upload"]["length"] > 100_000
    assert report["upload"]["type"] == "multipart/form-data"


CHAT = """<!doctype html>
<title>Two tabs</title>
<link rel="icon" href="data:,">
<iframe src="/chat?name=ada"></iframe>
<iframe src="/chat?name=bob"></iframe>
<script type="module">
const tabs = [...document.querySelectorAll("iframe")];
const lines = tab => [...tab.contentDocument.querySelectorAll("#log li")].map(li => li.innerText);
const until = async condition => {
    while (!condition())
        await new Promise(done => setTimeout(done, 20));
};
const say = (tab, text) => {
    tab.contentDocument.querySelector("#text").value = text;
    tab.contentDocument.querySelector("#say").requestSubmit();
};
const last = tab => lines(tab).at(-1) ?? "";
await new Promise(done => addEventListener("load", done));
await until(() => tabs.every(tab => tab.contentDocument.querySelector("#state").innerText
    .endsWith("2 here")));
say(tabs[0], "h\u00e9llo");
await until(() => tabs.every(tab => last(tab).endsWith("h\u00e9llo")));
say(tabs[1], "<b>hi</b>");
await until(() => tabs.every(tab => last(tab).endsWith("<b>hi</b>")));
const said = tabs.map(tab => lines(tab).slice(-2));
tabs[1].remove();
await until(() => last(tabs[0]) === "bob left");
await fetch("/report", {method: "POST", body: JSON.stringify(said)});
</script>
"""


def test_a_chat_from_two_tabs(stage_async: Stage, browse: Any) -> None:
    reports: queue.Queue[Any] = queue.Queue()
    app = web.make()
    app.get("/two")(lambda request: fastloop.http.html(CHAT))

    @app.post("/report")
    def report(request: Any) -> None:
        reports.put(request.json())

    server = stage_async.serve(app, "http://127.0.0.1:0", framing=None)
    browse(f"http://127.0.0.1:{server.port}/two")
    said = ["ada\nh\u00e9llo", "bob\n<b>hi</b>"]
    assert reports.get(timeout=SECONDS) == [said, said]
