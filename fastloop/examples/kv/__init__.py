"""A key-value store that Redis' own clients and benchmark talk to.

    fastloop serve fastloop.examples.kv:handle --bind resp://127.0.0.1:6380
    redis-cli -p 6380
    redis-benchmark -p 6380 -q -n 100000 -P 16

Strings, lists, hashes, sets, sorted sets and expiry, answered as Redis 7 answers them; one
database, in memory only. Run it with one loop thread, the default: as in Redis, a command is atomic
because nothing else runs meanwhile.

Each module holds the commands of one kind. Read ``commands`` first, then ``store`` and ``strings``.
"""

from fastloop.examples.kv import hashes, keys, lists, server, sets, strings, zsets
from fastloop.examples.kv.commands import handle

__all__ = ["handle", "hashes", "keys", "lists", "server", "sets", "strings", "zsets"]
