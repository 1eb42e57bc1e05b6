"""The screen of a one-time code: page and code alone on their lines, the QR code, large letters."""

from __future__ import annotations

import time
from collections.abc import Sequence

from headless_login.commands.words import (
    CODE_ONLY_YOURSELF,
    OPEN_PAGE,
    SWITCHED_OFF,
    TYPE_CODE,
    duration,
)
from headless_login.oauth.attempt import Attempt
from headless_login.terminal.output import Console

_BESIDE = 2  # columns between the QR code and the letters


def show_code(
    console: Console,
    attempt: Attempt,
    qr: str,
    *,
    advice: Sequence[str] = (CODE_ONLY_YOURSELF, SWITCHED_OFF),
    command: str = "",
) -> None:
    """Show page and code, each alone on its line, and the QR code of the page; then the advice.

    A `command` stands below it, whole.
    """
    valid, user_code = duration(attempt.left(time.time())), attempt.user_code or ""
    above, between = console.wrapped(OPEN_PAGE), console.wrapped(TYPE_CODE.format(valid))
    head = "\n".join([*above, attempt.url, *between, user_code, ""])
    after = [line for text in advice for line in console.wrapped(text)]
    after += [command] if command else []
    drawn = _drawn(console, attempt.url, user_code, qr, console.rows_of(head) + len(after) + 1)
    console.write("".join([head, *(f"{line}\n" for line in [*drawn, *after])]))


def _drawn(console: Console, url: str, user_code: str, qr: str, other_rows: int) -> list[str]:
    """Return the QR code with the large letters beside it, or whatever of both fits."""
    if console.is_dumb:
        return []
    from headless_login.terminal.qr.capabilities import look_at
    from headless_login.terminal.qr.drawing import choose, forced
    from headless_login.terminal.qr.matrix import matrix_of

    look = look_at(console, colours_asked=qr == "always")._replace(protocol=None)
    letters = _letters(user_code) if look.blocks != "no" else []
    matrix = None if qr == "never" else matrix_of(url)
    rows = look.rows - other_rows
    drawing = None if matrix is None else choose(matrix, look, rows)
    if drawing is None and matrix is not None and qr == "always":
        drawing = forced(matrix, look)
    if drawing is None:
        fitting = (each for each in (large(user_code), letters) if _fits(each, look.columns, rows))
        return next(fitting, []) if letters else []
    lines = drawing.draw().splitlines()
    if drawing.columns + _BESIDE + max(map(len, letters), default=0) > look.columns:
        return lines
    beside = [""] * ((len(lines) - len(letters)) // 2) + letters
    beside += [""] * (len(lines) - len(beside))
    return [f"{line}{' ' * _BESIDE}{text}".rstrip() for line, text in zip(lines, beside)]  # noqa: B905


def _fits(lines: list[str], columns: int, rows: int) -> bool:
    return len(lines) <= rows and max(map(len, lines), default=0) <= columns


def _letters(user_code: str) -> list[str]:
    """Return the code in large letters, its two halves one above the other."""
    first, hyphen, second = user_code.partition("-")
    lower = large(second) if second else []
    return [*large(first + hyphen), *([""] if lower else []), *lower]


# Five by five dots, a row a word; nothing is taken for another: a slash in the 0, serifs on the 1.
_GLYPHS = """
A .###. #...# ##### #...# #...#  B ####. #...# ####. #...# ####.  C .#### #.... #.... #.... .####
D ####. #...# #...# #...# ####.  E ##### #.... ####. #.... #####  F ##### #.... ####. #.... #....
G .#### #.... #..## #...# .####  H #...# #...# ##### #...# #...#  I .###. ..#.. ..#.. ..#.. .###.
J ..### ...#. ...#. #..#. .##..  K #...# #..#. ###.. #..#. #...#  L #.... #.... #.... #.... #####
M #...# ##.## #.#.# #...# #...#  N #...# ##..# #.#.# #..## #...#  O .###. #...# #...# #...# .###.
P ####. #...# ####. #.... #....  Q .###. #...# #.#.# #..#. .##.#  R ####. #...# ####. #..#. #...#
S .#### #.... .###. ....# ####.  T ##### ..#.. ..#.. ..#.. ..#..  U #...# #...# #...# #...# .###.
V #...# #...# #...# .#.#. ..#..  W #...# #...# #.#.# ##.## #...#  X #...# .#.#. ..#.. .#.#. #...#
Y #...# .#.#. ..#.. ..#.. ..#..  Z ##### ...#. ..#.. .#... #####  0 .###. #..## #.#.# ##..# .###.
1 ..#.. .##.. ..#.. ..#.. .###.  2 ####. ....# .###. #.... #####  3 ####. ....# .###. ....# ####.
4 #..#. #..#. ##### ...#. ...#.  5 ##### #.... ####. ....# ####.  6 .###. #.... ####. #...# .###.
7 ##### ....# ...#. ..#.. ..#..  8 .###. #...# .###. #...# .###.  9 .###. #...# .#### ....# .###.
- ..... ..... .###. ..... .....
"""
_BETWEEN = "  "


def large(text: str) -> list[str]:
    """Return three lines that draw a text in half blocks, or nothing if a letter is unknown."""
    words = _GLYPHS.split()
    glyphs = {words[at]: words[at + 1 : at + 6] for at in range(0, len(words), 6)}
    if not glyphs.keys() >= set(text.upper()):
        return []
    rows = [_BETWEEN.join(row) for row in zip(*map(glyphs.__getitem__, text.upper()), strict=True)]
    rows.append("." * len(rows[0]))
    return [_line(rows[upper], rows[upper + 1]) for upper in range(0, len(rows), 2)]


def _line(upper: str, lower: str) -> str:
    cells = (
        " ▀▄█"[(top == "#") + 2 * (bottom == "#")] for top, bottom in zip(upper, lower, strict=True)
    )
    return "".join(cells).rstrip()
