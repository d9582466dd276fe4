"""fastpysgi: `python asgi_fastpysgi.py PORT raw|starlette|fastapi`."""

import sys

import fastpysgi  # type: ignore[import-not-found]

from asgi_apps import make

if __name__ == "__main__":
    fastpysgi.server.tcp_nodelay = 1
    fastpysgi.server.backlog = 1024
    fastpysgi.run(make(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), loglevel=0)
