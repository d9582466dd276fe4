"""What the C core noticed and somebody should read: one log line for each kind and turn."""

from __future__ import annotations

import logging

from fastloop._ffi import ffi, lib

log = logging.getLogger("fastloop")

_ADVICE = {
    lib.FL_EVALUE: "return bytes, str, int, None or a list of these (RESP and HTTP take more)",
    lib.FL_EFDLIMIT: "connections were refused; select serves descriptors below 1024 only: "
    "use --backend epoll, kqueue or poll",
    lib.FL_EFILES: "connections were refused for now; raise the limit (ulimit -n) or lower "
    "max_connections",
    lib.FL_EBUSY: "connections were refused; raise max_connections if the machine has room",
    lib.FL_ESPAWN: "refused; the line above says why",
    lib.FL_ESTALL: "closed; see write_timeout",
    lib.FL_EUNSENT: "closed; see max_unsent",
    lib.FL_EPEER: "connections were refused; raise max_connections_per_address if they are right",
}

_PEER_FAULTS = {lib.FL_EPROTO, lib.FL_ELIMIT, lib.FL_ESLOW}


def report(_listener: int, _ids: None, items: list[tuple[int, int]]) -> None:
    """Logs (code, count) pairs: the peers' faults at INFO, what an operator can mend at WARNING."""
    for code, count in items:
        words = ffi.string(lib.fl_strerror(code)).decode()
        level = logging.INFO if code in _PEER_FAULTS else logging.WARNING
        advice = _ADVICE.get(code, "closed")
        log.log(level, "%s: %d connection%s (%s)", words, count, "" if count == 1 else "s", advice)
