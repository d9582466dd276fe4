"""WSGI applications that all WSGI servers run: bare, with Flask, and with Django."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[Environ, Start], Iterable[bytes]]

TEXT = "Hello, World!"


def raw(_environ: Environ, start: Start) -> Iterable[bytes]:
    """Answer every request."""
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, World!"]


def with_flask() -> Application:
    """Return an application with one route."""
    from flask import Flask

    app = Flask(__name__)

    @app.route("/raw")
    @app.route("/flask")
    def hello() -> tuple[str, dict[str, str]]:
        return TEXT, {"Content-Type": "text/plain"}

    return app.wsgi_app


def with_django() -> Application:
    """Return an application with one route and the middleware that sets Content-Length."""
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    def hello(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(TEXT, content_type="text/plain")

    urls = type("Urls", (), {"urlpatterns": [path("django", hello)]})
    settings.configure(
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        ROOT_URLCONF=urls,
        SECRET_KEY="for the benchmark",
    )
    django.setup()
    return get_wsgi_application()  # type: ignore[no-any-return]


@cache  # settings can be made once
def make(name: str) -> Application:
    """Return raw, flask or django."""
    return {"raw": lambda: raw, "flask": with_flask, "django": with_django}[name]()


def __getattr__(name: str) -> Application:
    """Return `raw_app`, `flask_app` or `django_app`: what command lines name."""
    if not name.endswith("_app"):
        raise AttributeError(name)
    return make(name.removesuffix("_app"))
