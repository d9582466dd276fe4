"""The page that shows a traceback, with debug=True alone: it tells what no stranger should know."""

from __future__ import annotations

import traceback
from html import escape

_PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  body {{ margin: 3rem auto; max-width: 60rem; padding: 0 1rem; font: 1rem/1.5 system-ui; }}
  h1 {{ font-size: 1.25rem; }}
  pre {{ padding: 1rem; overflow: auto; background: #f4f4f5; border-radius: .5rem; }}
  p {{ color: #71717a; }}
</style>
<h1>{title}</h1>
<code>{line}</code>
<pre>{trace}</pre>
<p>You see this because the server runs with debug on. Everybody who can reach it does.</p>
"""


def error_page(line: str, error: Exception) -> str:
    """A page about what the request with this first line did."""
    title = f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    return _PAGE.format(title=escape(title), line=escape(line), trace=escape(trace))
