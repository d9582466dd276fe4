"""ASGI 3 applications: FastAPI, Starlette, Django, Litestar, Quart and whatever else speaks it."""
