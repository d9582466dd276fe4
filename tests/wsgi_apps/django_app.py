"""Django: sessions in cookies, uploads, streaming, files, errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path

MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="for tests",
        INSTALLED_APPS=["django.contrib.sessions"],
        MIDDLEWARE=MIDDLEWARE,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        USE_TZ=True,
    )
    django.setup()


def index(request: HttpRequest) -> HttpResponse:
    if request.method not in ("GET", "HEAD"):
        return HttpResponse(status=405)
    return HttpResponse("Hello, World!")


def echo(request: HttpRequest, rest: str) -> JsonResponse:
    return JsonResponse(
        {
            "method": request.method,
            "path": request.path,
            "rest": rest,
            "url": request.build_absolute_uri(),
            "args": dict(request.GET.lists()),
            "form": dict(request.POST.lists()),
            "data": request.body.decode(),
            "agent": request.headers.get("user-agent"),
            "custom": request.headers.get("x-custom"),
            "length": request.META.get("CONTENT_LENGTH", ""),
            "cookies": request.COOKIES,
        }
    )


def count(request: HttpRequest) -> JsonResponse:
    request.session["n"] = request.session.get("n", 0) + 1
    return JsonResponse({"n": request.session["n"]})


def upload(request: HttpRequest) -> JsonResponse:
    files = {name: (each.name, len(each.read())) for name, each in request.FILES.items()}
    return JsonResponse({"files": files, "form": request.POST.dict()})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[str]:
        for n in range(50):
            yield f"{n}\n" * n

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"), content_type="text/plain")


def big(request: HttpRequest) -> HttpResponse:
    return HttpResponse("x" * 200_000, status=203, headers={"X-Big": "y" * 5000})


def away(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/")


def fail(request: HttpRequest) -> HttpResponse:
    raise ValueError("on purpose")


def none(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


urlpatterns = [
    path("", index),
    path("echo/<path:rest>", echo),
    *(path(view.__name__, view) for view in (count, upload, stream, file, big, away, fail, none)),
]

app = get_wsgi_application()
asgi = get_asgi_application()
