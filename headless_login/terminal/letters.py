"""Large letters for a one-time code, so that it can be read from across a desk."""

from __future__ import annotations

# Five by five dots, a row a word; nothing is taken for another: a slash in the 0, serifs on the 1.
_GLYPHS = {
    "A": ".###. #...# ##### #...# #...#",
    "B": "####. #...# ####. #...# ####.",
    "C": ".#### #.... #.... #.... .####",
    "D": "####. #...# #...# #...# ####.",
    "E": "##### #.... ####. #.... #####",
    "F": "##### #.... ####. #.... #....",
    "G": ".#### #.... #..## #...# .####",
    "H": "#...# #...# ##### #...# #...#",
    "I": ".###. ..#.. ..#.. ..#.. .###.",
    "J": "..### ...#. ...#. #..#. .##..",
    "K": "#...# #..#. ###.. #..#. #...#",
    "L": "#.... #.... #.... #.... #####",
    "M": "#...# ##.## #.#.# #...# #...#",
    "N": "#...# ##..# #.#.# #..## #...#",
    "O": ".###. #...# #...# #...# .###.",
    "P": "####. #...# ####. #.... #....",
    "Q": ".###. #...# #.#.# #..#. .##.#",
    "R": "####. #...# ####. #..#. #...#",
    "S": ".#### #.... .###. ....# ####.",
    "T": "##### ..#.. ..#.. ..#.. ..#..",
    "U": "#...# #...# #...# #...# .###.",
    "V": "#...# #...# #...# .#.#. ..#..",
    "W": "#...# #...# #.#.# ##.## #...#",
    "X": "#...# .#.#. ..#.. .#.#. #...#",
    "Y": "#...# .#.#. ..#.. ..#.. ..#..",
    "Z": "##### ...#. ..#.. .#... #####",
    "0": ".###. #..## #.#.# ##..# .###.",
    "1": "..#.. .##.. ..#.. ..#.. .###.",
    "2": "####. ....# .###. #.... #####",
    "3": "####. ....# .###. ....# ####.",
    "4": "#..#. #..#. ##### ...#. ...#.",
    "5": "##### #.... ####. ....# ####.",
    "6": ".###. #.... ####. #...# .###.",
    "7": "##### ....# ...#. ..#.. ..#..",
    "8": ".###. #...# .###. #...# .###.",
    "9": ".###. #...# .#### ....# .###.",
    "-": "..... ..... .###. ..... .....",
}
_BETWEEN = "  "


def large(text: str) -> list[str]:
    """Return three lines that draw a text in half blocks, or nothing if a letter is unknown."""
    glyphs = [_GLYPHS.get(letter) for letter in text.upper()]
    if not all(glyphs):
        return []
    rows = [_BETWEEN.join(row) for row in zip(*(str(glyph).split() for glyph in glyphs))]  # noqa: B905
    rows.append("." * len(rows[0]))
    return [_line(rows[upper], rows[upper + 1]) for upper in range(0, len(rows), 2)]


def _line(upper: str, lower: str) -> str:
    cells = (
        " ▀▄█"[(top == "#") + 2 * (bottom == "#")] for top, bottom in zip(upper, lower, strict=True)
    )
    return "".join(cells).rstrip()
