"""How lines break an address up, at every width from 20 to 200."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from html import escape

from tests.support.shapes_of_people import MAILS
from tests.support.shapes_of_programs import encoded, query_of

WIDTHS = range(20, 201)
Wrapping = Callable[[str, int], str]


def rows(url: str, width: int) -> list[str]:
    """Return the lines of a terminal of this width."""
    return [
        line[at : at + width] for line in url.splitlines() for at in range(0, len(line) or 1, width)
    ]


def in_rows(before: str = "", after: str = "", between: str = "\n") -> Wrapping:
    """Return what puts something before and behind each row."""
    return lambda text, width: "\n".join(
        between.join(f"{before}{row}{after}" for row in rows(line, width))
        for line in text.splitlines()
    )


def first_then(first: str, last: str = "", between: str = "\n") -> Wrapping:
    """Return what breaks a whole text with words around the address."""
    return lambda url, width: between.join(rows(f"{first}{url}{last}", width))


def beside(url: str, width: int, *, left: bool = False) -> str:
    """Return two panes side by side, as a terminal's selection copies them."""
    words = ["$ make test", "ok 17 passed in 3.2s", "$ git status", "nothing to commit", ""]
    pairs = [
        (row.ljust(width), words[n % len(words)].ljust(20))
        for n, row in enumerate(rows(url, width))
    ]
    return "\n".join(f"{b}│{a}" if left else f"{a}│{b}" for a, b in pairs)


def numbered(url: str, width: int) -> str:
    """Return lines with their numbers."""
    return "\n".join(f"{n:6}  {row}" for n, row in enumerate(rows(url, width), 1))


WRAPPED: dict[str, Wrapping] = {
    "line feeds": in_rows(),
    "CR LF": in_rows(between="\r\n"),
    "CR": in_rows(between="\r"),
    "indented": in_rows("    "),
    "hanging": in_rows(between="\n    "),
    "blanks kept": in_rows(after="    "),
    "blanks": in_rows(between=" "),
    "no-break spaces": in_rows(between="\u00a0"),
    "zero-width spaces": in_rows(between="\u200b"),
    "soft hyphens": in_rows(between="\u00ad"),
    "line separators": in_rows(between="\u2028"),
    "quoted": in_rows("> "),
    "quoted twice": in_rows("> > "),
    "bars": in_rows("| "),
    "a box": lambda url, width: (
        f"╭{'─' * width}╮\n{in_rows('│ ', ' │')(url, width)}\n╰{'─' * width}╯"
    ),
    "a box of ASCII": in_rows("| ", " |"),
    "a thick box": in_rows("┃", "┃"),
    "arrows": in_rows(between=" ↩\n↪ "),
    "backslashes": in_rows(between="\\\n"),
    "carets": in_rows(between="^\r\n"),
    "backticks": in_rows(between="`\n"),
    "a patch": in_rows("+"),
    "numbers": numbered,
    "a pane beside": beside,
    "a pane before": lambda url, width: beside(url, width, left=True),
    "br": in_rows(between="<br>\n"),
    "a sentence, wrapped": first_then("I ended at ", " and nothing happened."),
    "a prompt, wrapped": first_then("ada@host:~/work$ curl '", "'"),
    "quotes, wrapped": first_then('"', '"'),
    "JSON, wrapped": first_then('{"url": "', '"}'),
    "a log, wrapped": first_then("2026-11-23 10:31:22 INFO redirect to ", " (302)"),
    "encoded, wrapped": lambda url, width: "\n".join(rows(encoded(url), width)),
    "SafeLinks, wrapped": lambda url, width: "\n".join(rows(MAILS["SafeLinks"](url), width)),
    "HTML, wrapped": lambda url, width: "\n".join(rows(escape(url), width)),
    "quoted-printable, wrapped": lambda url, width: "=\n".join(
        re.findall(rf"(?:=3D|[^=]){{1,{width}}}", url.replace("=", "=3D"))
    ),
    "a query, wrapped": lambda url, width: "\n".join(rows(query_of(url), width)),
    "twice, wrapped": lambda url, width: "\n".join([*rows(url, width), "", *rows(url, width + 7)]),
    "words behind": lambda url, width: "\n".join([*rows(url, width), "and then nothing happened"]),
    "a mail": lambda url, width: "\n".join(["Hello,", "", *rows(url, width), "", "regards", "Ada"]),
    "wrapped by words": lambda url, width: textwrap.fill(
        f"I ended at {url} and nothing happened.", width
    ),
}
