"""Routes: patterns, which of them wins, what the router answers by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import fastloop
from fastloop import ConfigError, HTTPError, Router
from fastloop.http.app import App
from fastloop.http.static import Constant, Static


def handler(request: Any, **parameters: Any) -> Any:
    """Any handler."""


def found(router: Router, method: str, path: str) -> tuple[Any, dict[str, Any]]:
    """The handler and its parameters."""
    endpoint, parameters = router.table().find(method, path)
    return endpoint.call, dict(parameters)


def named(text: str) -> Any:
    """A handler that differs from others."""

    def each(request: Any, **parameters: Any) -> str:
        return text

    return each


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "path", "parameters"),
        [
            ("/", "/", {}),
            ("/a.b", "/a.b", {}),
            ("/a.b", "/axb", None),
            ("/a", "/a/", None),
            ("/{x}", "/y", {"x": "y"}),
            ("/{x}", "/", None),
            ("/{x}", "/a/b", None),
            ("/{x}", "/ä \n", {"x": "ä \n"}),
            ("/{x:str}", "/5", {"x": "5"}),
            ("/{x:int}", "/007", {"x": 7}),
            ("/{x:int}", "/-1", None),
            ("/{x:int}", "/1x", None),
            ("/{x:int}", "/\u0660", None),
            ("/{x:int}", "/" + "9" * 19, None),
            ("/{x:float}", "/1.5", {"x": 1.5}),
            ("/{x:float}", "/2", {"x": 2.0}),
            ("/{x:float}", "/1e5", None),
            ("/{x:path}", "/a/b/", {"x": "a/b/"}),
            ("/{x:path}", "/", None),
            ("/{a}/{b:path}/c", "/1/2/3/c", {"a": "1", "b": "2/3"}),
            ("/{a}-{b}", "/1-2", {"a": "1", "b": "2"}),
            ("/v{a:int}.{b:int}", "/v1.2", {"a": 1, "b": 2}),
            (
                "/{x:uuid}",
                "/00000000-0000-0000-0000-00000000000A",
                {"x": UUID(int=10)},
            ),
            ("/{x:uuid}", "/0", None),
        ],
    )
    def test_matching(self, pattern: str, path: str, parameters: dict[str, Any] | None) -> None:
        router = Router()
        router.get(pattern)(handler)
        if parameters is None:
            with pytest.raises(HTTPError, match="404"):
                found(router, "GET", path)
        else:
            assert found(router, "GET", path) == (handler, parameters)

    @pytest.mark.parametrize(
        ("pattern", "why"),
        [
            ("", "does not begin with /"),
            ("a", "does not begin with /"),
            ("/{x", "lone brace"),
            ("/x}", "lone brace"),
            ("/{}", "lone brace"),
            ("/{5}", "lone brace"),
            ("/{x:integer}", "kind 'integer': there are str, int"),
            ("/{x}/{x}", "cannot have a parameter 'x'"),
            ("/{request}", "cannot have a parameter 'request'"),
        ],
    )
    def test_mistakes(self, pattern: str, why: str) -> None:
        with pytest.raises(ConfigError, match=why):
            Router().get(pattern)


class TestWhichWins:
    def test_a_path_without_parameters(self) -> None:
        router = Router()
        any_, me = named("any"), named("me")
        router.get("/users/{name}")(any_)
        router.get("/users/me")(me)
        assert found(router, "GET", "/users/me") == (me, {})
        assert found(router, "GET", "/users/you") == (any_, {"name": "you"})

    def test_the_first_of_two_that_match(self) -> None:
        router = Router()
        number, any_ = named("number"), named("any")
        router.get("/{n:int}")(number)
        router.get("/{x}")(any_)
        router.get("/{x:path}")(named("never"))
        assert found(router, "GET", "/5") == (number, {"n": 5})
        assert found(router, "GET", "/x") == (any_, {"x": "x"})

    def test_another_that_has_the_method(self) -> None:
        router = Router()
        put, post, delete = named("put"), named("post"), named("delete")
        router.put("/a")(put)
        router.post("/{x}")(post)
        router.delete("/{name}")(delete)
        assert found(router, "PUT", "/a") == (put, {})
        assert found(router, "POST", "/a") == (post, {"x": "a"})
        assert found(router, "DELETE", "/a") == (delete, {"name": "a"})
        with pytest.raises(HTTPError) as caught:
            found(router, "GET", "/a")
        assert caught.value.headers == {"allow": "DELETE, OPTIONS, POST, PUT"}

    def test_many(self) -> None:
        """Groups of one pattern are not taken for those of another."""
        router = Router()
        handlers = [named(str(n)) for n in range(50)]
        for n, each in enumerate(handlers):
            router.get("/" + "/".join([str(n), *(f"{{p{m}}}" for m in range(n % 5 + 1))]))(each)
        for n, each in enumerate(handlers):
            parts = [f"v{m}" for m in range(n % 5 + 1)]
            assert found(router, "GET", "/" + "/".join([str(n), *parts])) == (
                each,
                {f"p{m}": part for m, part in enumerate(parts)},
            )


class TestMethods:
    def test_head_goes_to_get(self) -> None:
        router = Router()
        get, head = named("get"), named("head")
        router.get("/a")(get)
        router.get("/b")(get)
        router.route("/b", ["HEAD"])(head)
        router.post("/c")(get)
        assert found(router, "HEAD", "/a") == (get, {})
        assert found(router, "HEAD", "/b") == (head, {})
        with pytest.raises(HTTPError, match="405"):
            found(router, "HEAD", "/c")

    @pytest.mark.parametrize(
        ("path", "allowed"),
        [
            ("/a", "GET, HEAD, OPTIONS"),
            ("/5", "OPTIONS, PATCH, PUT"),
            ("*", "GET, HEAD, OPTIONS, PATCH, PUT"),
        ],
    )
    def test_options(self, path: str, allowed: str) -> None:
        router = Router()
        router.get("/a")(handler)
        router.put("/{n:int}")(handler)
        router.patch("/{n:int}")(handler)
        call, _ = found(router, "OPTIONS", path)
        response = call(None)
        assert (response.status, response.headers["allow"]) == (204, allowed)

    def test_options_of_its_own(self) -> None:
        router = Router()
        router.route("/a", ("get", "OPTIONS"))(handler)
        assert found(router, "OPTIONS", "/a") == (handler, {})
        assert found(router, "GET", "/a") == (handler, {})

    def test_a_method_as_a_string(self) -> None:
        router = Router()
        router.route("/a", "PURGE")(handler)
        assert found(router, "PURGE", "/a") == (handler, {})

    def test_methods_are_case_sensitive(self) -> None:
        router = Router()
        router.get("/a")(handler)
        with pytest.raises(HTTPError, match="405"):
            found(router, "get", "/a")

    def test_nothing_is_there(self) -> None:
        with pytest.raises(HTTPError, match="404"):
            found(Router(), "OPTIONS", "/a")


class TestMounting:
    def test_routes(self) -> None:
        inner, middle, outer = Router(), Router(), Router()
        middle.mount("/in", inner)
        outer.mount("/{tenant}/", middle)
        inner.get("/x/{n:int}")(handler)  # later, and still there
        assert found(outer, "GET", "/t/in/x/5") == (handler, {"tenant": "t", "n": 5})
        with pytest.raises(HTTPError, match="404"):
            found(outer, "GET", "/x/5")

    def test_what_needs_no_python(self, tmp_path: Path) -> None:
        inner, outer = Router(), Router()
        inner.constant("/robots.txt", "none")
        inner.static("/files", tmp_path, listing=True)
        outer.static("/", tmp_path)
        outer.mount("/in", inner)
        assert outer.constants() == [Constant("/in/robots.txt", "none")]
        assert outer.statics() == [
            Static("", tmp_path),
            Static("/in/files", tmp_path, listing=True),
        ]

    def test_mistakes(self, tmp_path: Path) -> None:
        router = Router()
        with pytest.raises(ConfigError, match="takes a Router, not function"):
            router.mount("/", handler)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="'x' does not begin with /"):
            router.mount("x", Router())
        with pytest.raises(ConfigError, match="no directory"):
            router.static("/", tmp_path / "none")
        with pytest.raises(ConfigError, match="cache-control"):
            router.static("/", tmp_path, cache_control="a\n")
        with pytest.raises(ConfigError, match="does not begin with /"):
            router.constant("x", "a")
        with pytest.raises(ConfigError, match="no str or bytes"):
            router.constant("/x", {})  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="content-type"):
            router.constant("/x", "", content_type="a\r\nb")
        with pytest.raises(ConfigError, match="a prefix begins with /"):
            Static.of({"assets": tmp_path})


class TestHandlers:
    def test_what_does_not_fit(self) -> None:
        router = Router()
        with pytest.raises(ConfigError, match=r"called as f\(request, id\).*'id'"):
            router.get("/{id}")(lambda request: None)
        with pytest.raises(ConfigError, match=r"called as f\(request\).*argument: 'n'"):
            router.get("/")(lambda request, n: None)
        with pytest.raises(ConfigError, match="hand over a function"):
            router.get("/")("text")  # type: ignore[type-var]
        with pytest.raises(ConfigError, match="batch handler"):
            router.get("/")(fastloop.batch(lambda requests: []))

    def test_two_for_one(self) -> None:
        router = Router()
        router.get("/a/{x}")(handler)
        router.route("/a/{x:str}", ("POST", "GET"))(named("other"))
        with pytest.raises(ConfigError, match="has two handlers: handler and"):
            router.table()

    def test_a_decorator_returns_the_function(self) -> None:
        router = Router()
        assert router.get("/a")(router.post("/b")(handler)) is handler
        assert router.error(404)(handler) is handler

    def test_errors(self) -> None:
        router = Router()
        for key in (200, 600, "404", BaseException, None):
            with pytest.raises(ConfigError, match="give a status from 400 on"):
                router.error(key)  # type: ignore[arg-type]

        async def late(request: Any, error: Exception) -> None: ...

        with pytest.raises(ConfigError, match="nobody would await it"):
            router.error(404)(late)


class TestApp:
    """What an application needs, found out before anything is served."""

    def app(self, target: Any, *, stream: bool = False, **options: Any) -> App:
        return App(target, fastloop.Config(**options), stream=stream)

    def test_sync(self) -> None:
        app = self.app(lambda request: None)
        assert (app.is_async, app.stream) == (False, False)
        assert app.constants == [Constant("/-/healthz", "ok\n")]

    def test_one_async_route_is_enough(self) -> None:
        router = Router()
        router.get("/a")(handler)

        @router.post("/b", stream=True)
        async def late(request: Any) -> None: ...

        app = self.app(router)
        assert (app.is_async, app.stream) == (True, True)

    def test_a_stream_that_would_block(self) -> None:
        @fastloop.stream
        def upload(request: Any) -> None: ...

        router = Router()
        router.post("/")(upload)
        for target, stream in ((upload, False), (handler, True), (router, False)):
            with pytest.raises(ConfigError, match=r"async def`, or give it threads by blocking=N"):
                self.app(target, stream=stream)
            assert self.app(target, stream=stream, blocking=1).stream

    def test_batches(self) -> None:
        assert self.app(fastloop.batch(lambda requests: [])).is_batch
        with pytest.raises(ConfigError, match="neither async nor stream"):
            self.app(fastloop.batch(lambda requests: []), stream=True, blocking=1)

    def test_objects(self) -> None:
        class Handler:
            def open(self, connection: Any) -> None: ...
            def message(self, request: Any) -> None: ...

        app = self.app(Handler)
        assert app.open is not None
        assert app.close is None
        assert app.name.endswith("Handler")

        class Late(Handler):
            async def close(self, connection: Any, reason: str) -> None: ...

        with pytest.raises(ConfigError, match=r"close\(\) of .* is async"):
            self.app(Late)

    @pytest.mark.parametrize("target", ["text", 5, lambda: None, lambda a, b: None])
    def test_what_is_no_handler(self, target: Any) -> None:
        with pytest.raises(ConfigError, match="handler"):
            self.app(target)

    def test_health(self) -> None:
        assert self.app(handler, healthz="/up").constants == [Constant("/up", "ok\n")]
        assert self.app(handler, healthz="").constants == []
        router = Router()
        router.get("/-/healthz")(handler)
        assert self.app(router).constants == []
        with pytest.raises(ConfigError, match="healthz='up' is not a path"):
            self.app(handler, healthz="up")
