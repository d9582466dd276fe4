"""uvloop: `python uvloop_echo.py PORT raw|line|busy_1ms`; the asyncio contender on its loop."""

import sys

import uvloop

from asyncio_echo import serve

if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
