"""How far a response of ASGI is."""

NEW, STARTED, BEGUN, TRAILING, COMPLETE = range(5)
"""Nothing said; its head is known; parts of it are sent; trailers are still to come; all is said.
"""
