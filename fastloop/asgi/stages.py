"""How far a response of ASGI is."""

NEW, STARTED, BEGUN, TRAILING, COMPLETE = range(5)
"""Nothing said; its head is known; parts of it are sent; trailers are still to come; all is said.
"""

EXPECTED = {
    NEW: "the first message is http.response.start",
    STARTED: "http.response.body comes next",
    BEGUN: "http.response.body comes next",
    TRAILING: "http.response.trailers comes next",
}
"""What may be said then, for whoever says something else."""
