"""fastpysgi: `python wsgi_fastpysgi.py PORT raw|flask|django`."""

import sys

import fastpysgi  # type: ignore[import-not-found]

from wsgi import make

if __name__ == "__main__":
    fastpysgi.server.tcp_nodelay = 1
    fastpysgi.server.backlog = 1024
    fastpysgi.run(wsgi_app=make(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), loglevel=0)
