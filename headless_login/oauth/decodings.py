"""What a pasted text says once everything that copying does to an address is undone."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from html import unescape
from itertools import groupby
from operator import itemgetter
from urllib.parse import quote, unquote

# CSI and OSC sequences and character sets; also as `cat -v` shows CSI, and the bracketed-paste
# marks alone, which shells leave behind without their ESC.
_TERMINAL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-9A-Z]"
    r"|\^\[\[[0-9;]*[A-Za-z~]|\[20[01]~"
)
_HALF_MARKS = re.compile(r"(2?0?)0~(.*)\1(?:1~)", re.S)  # what readline leaves of ESC [ 200 ~
_ITALICS = re.compile(r"(?<!\S)_(https?://\S+)_(?!\n?\S)")
_TAG = re.compile(r"</?(?:wbr|span|b|i|em|strong|mark)(?:[ \n][^<>]*)?/?>|<!\[CDATA\[", re.I | re.A)
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_LEFT = "> |" + "".join(map(chr, [*range(0x2190, 0x2200), *range(0x2500, 0x25A0), 0x2936, 0x2937]))
_RIGHT = _LEFT.replace(">", "")
_SIDE = re.compile(f"(?:> ?)*[{_LEFT.replace(' ', '')}]*")
_COLUMN = re.compile(r"[\u2502\u2503\u2506\u2507\u250a\u250b\u2551\u258c\u2590]|(?:^| )[|](?: |$)")
_MOST_COLUMNS = 8
UNKNOWN = "\ufffd"  # in the place of what is not known
BORDER = "\u2502"  # stands between two columns, in no address
_BETWEEN = f"\n\n{BORDER}\n\n"
_NUMBER = re.compile(r" *(\d{1,6})(?:(?: +|[:.|)] *)(?=\S)|\Z)", re.A)

_SIGN = re.compile(r"\+|-(?!-|[A-Za-z]*(?:\s|\Z))")  # of a patch, and of no option

# These are undone in the letters alone, so that a line break in the middle of one is bridged.
_ENTITY = re.compile(
    r"&(?:amp;)*((?:amp|quot|apos|lt|gt|nbsp|equals|quest|colon|sol|num|#\d{1,7}|#x[\da-f]{1,6});)",
    re.I | re.A,
)
_ESCAPED = re.compile(r"(?<!\\)\\+(?!\\)(?:u00([2-7][0-9a-fA-F])|([!-/:-@\[-`{-~]))")
# Where cmd.exe needs one, not in a word; as PowerShell has it before &.
_CARET = re.compile(r"\^(?![\w\-.~])|(?<=%)\^|`(?=&)", re.A)
_QUOTE = re.compile(r"""'(?:\\'|"'")'""")  # as shells write one in single quotes
_OLD_CMD = re.compile(r'"%"(?=[0-9A-Fa-f]{2})')  # as Chromium quoted for it until 2021
# The same address (RFC 3986 §6.2.2.2): these marks anywhere, letters in a parameter's name.
_UNRESERVED = re.compile(
    r"%(?:2D|2E|5F|7E)|(?<=[?&])[A-Za-z_]{0,20}(?:%[4-7][0-9A-F][A-Za-z_]{0,20}){1,20}(?==)", re.I
)
_PRINTED = re.compile(r"=([0-9A-F])\n?([0-9A-F])")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ENCODED = re.compile("%(?:25)?3d", re.I)
# What may be encoded as a whole.
_RUN = re.compile(r"""(?:(?!/https?%(?:25)?3a)[^&=?"'<>])+""", re.I)
_URLDEFENSE = re.compile(
    r"https://urldefense\.[a-z.]{1,30}/v(?:3/__(.{1,8192}?)__;|2/url\?u=([\w.\-]{1,8192}))", re.A
)
# Its end is certain in quotes, before a comma, at the end, or before the next label.
_LABELLED = re.compile(
    r"""(?<![\w&?%.\-])(code|state|iss|error)(?:["']? ?(?::|=>?) ?|(?<=^code) |(?<=^state) )"""
    r"""(?:(?:"([^"&\s<>\\^`{|}]{,2100})"|'([^'&\s<>\\^`{|}]{,2100})')(?![.!*/:=@?]*[\w~%+\-])"""
    r"""|([^\s"',;?&{}<>\\^`|]{1,2100})(?![^\s"',;?&{}<>\\^`|])"""
    r"""(?=["',;} ]*(?:\Z|\n["' {}]*(?:\Z|\w{1,30}["']?(?: ?:| ?=(?! *[=\n])| (?=\S))))"""
    r"""|[,;}]+(?:\s|\Z|(?:code|scope|state|iss|error) ?[:=])))""",
    re.A | re.I | re.M,
)


# Never in an address (RFC 3986 §2), so that one ends before it.
HARD = '"<>\\^`{|}'
_GAP = re.compile("[1-4]")
_BEHIND_MARK = re.compile(r'(?<=["<>\\^`{|}]|[^!-~])|(?<=\]\()')


class Text:
    """A text's letters without blanks, and for each what stood before it.

    That is "0" for nothing, "1" for blanks, "2" for a line break, "3" for an empty line, and "4"
    at both ends of what was percent-encoded as a whole.
    """

    def __init__(self, letters: str, gaps: str) -> None:
        self.letters, self.gaps = letters, gaps

    @cached_property
    def starts(self) -> list[int]:
        """Where words begin: behind blanks, or a mark that no address has."""
        found = (*_GAP.finditer(self.gaps), *_BEHIND_MARK.finditer(self.letters))
        return sorted({0, *(each.start() for each in found)})

    def word(self, at: int) -> int:
        """Return where the word begins that goes on at `at`."""
        return self.starts[bisect_right(self.starts, at) - 1]

    def blank(self, at: int) -> int:
        """Return where what stands between blanks begins that goes on at `at`."""
        return max(0, *(self.gaps.rfind(gap, 0, at + 1) for gap in "1234"))

    def breaks(self, start: int, end: int) -> list[int]:
        """Return where blanks or line breaks stand behind `start` and before `end`."""
        return [found.start() for found in _GAP.finditer(self.gaps, start + 1, end)]

    def word_end(self, at: int) -> int:
        """Return where the next blank or line break stands."""
        found = _GAP.search(self.gaps, at)
        return found.start() if found else len(self.gaps)

    def lines_before(self, word: int, farthest: int) -> str:
        """Return what stands before a word, and the lines of one word before that."""
        first = word
        while first > max(0, word - farthest):
            first = self.blank(first - 1)
            if self.gaps[first] != "2" or self.gaps[word] != "2":
                break
        return self.letters[first:word]

    @classmethod
    def of(cls, text: str) -> Text:
        """Return a text whose line breaks are all line feeds."""
        letters, gaps = [], []
        for blanks, word in re.findall(r"(\s*)(\S+)", text.strip()):
            breaks = blanks.count("\n")
            gap = min(breaks, 2) + 1 if breaks else len(blanks[:1])
            letters.append(word)
            gaps.append(f"{gap}{'0' * len(word[1:])}")
        return cls("".join(letters), "".join(gaps))

    def replaced(self, pattern: re.Pattern[str], by: Callable[[re.Match[str]], str]) -> Text:
        """Replace whatever matches; the blanks within it are gone."""
        letters, gaps, last = [], [], 0
        for found in pattern.finditer(self.letters):
            start, end = found.span()
            put = by(found)
            letters += [self.letters[last:start], put]
            gaps += [self.gaps[last:start], (self.gaps[start] + "0" * len(put))[: len(put)]]
            last = end
        return Text("".join(letters) + self.letters[last:], "".join(gaps) + self.gaps[last:])


LONGEST_ANSWER = 64 * 1024  # bytes
_STATE = re.compile(r"(?:state=|#)(?=([\w-]{22}))", re.A)  # as long as this program makes them


class Pasted:
    """A pasted text, decoded once; which sign-in it answers is judged by each one's own state."""

    def __init__(self, text: str) -> None:
        """A text of more than 64 KiB is no answer."""
        self.is_too_long = len(text.encode(errors="replace")) > LONGEST_ANSWER
        self._text = "" if self.is_too_long else text

    @cached_property
    def views(self) -> list[Text]:
        """What it says as it stands and decoded, most likely first."""
        return list(_views(self._text))

    @cached_property
    def states(self) -> set[str]:
        """Every state that it may carry, not judged yet: they tell whose answer this may be."""
        return {found[1] for view in self.views for found in _STATE.finditer(view.letters)}


def _views(text: str) -> Iterator[Text]:
    """Return what a text says as it stands and decoded; the first one that answers counts."""
    text = _visible(text)
    yield (plain := _read(text))
    if "=3D" in text:  # quoted-printable, as in the source of a mail
        soft = re.sub(r"= *\n", "\n", text)
        printed = _read(_PRINTED.sub(lambda found: chr(int(found[1] + found[2], 16)), soft))
        if "=3D" not in printed.letters:  # else one of them was broken up
            yield printed
    once = _percent_decoded(plain)
    yield once
    yield _percent_decoded(once)
    yield Text.of(_labelled(_without_borders(text)))


class _Seen(dict[int, str]):
    """What a person sees of each character: no formatting, one kind of blank and of line break."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        # Variation selectors, the grapheme joiner and the object mark are no Cf, but as invisible.
        if category == "Cf" or "\ufe00" <= character <= "\ufe0f" or character in "\u034f\ufffc":
            seen = ""
        elif character.isspace():
            # Blanks that nobody types are a program's, which breaks addresses with them.
            seen = " " if character.isascii() and character != "\n" else "\n"
        else:
            seen = "" if category == "Cc" else character
        self[code] = seen
        return seen


_SEEN = _Seen()


def _visible(text: str) -> str:
    text = "\n".join(_TERMINAL.sub("", text).splitlines()).translate(_SEEN).strip()
    if {*"\uff1f\uff06\uff1d"} & {*text}:  # a Chinese or Japanese keyboard's ? & =
        text = text.translate(_WIDE)
    halves = _HALF_MARKS.fullmatch(text)
    return _ITALICS.sub(r"\1", halves[2] if halves else text)


def _read(text: str) -> Text:
    """Return the letters of a visible text, without borders and escapes."""
    text = re.sub(r"<br ?/?>", " ", _TAG.sub("", text), flags=re.I)
    read = (
        Text.of(_without_borders(text))
        .replaced(_QUOTE, lambda _: "'")
        .replaced(_CARET, lambda _: "")
    )
    read = read.replaced(_ENTITY, lambda found: _meant(unescape(f"&{found[1]}")))
    read = read.replaced(_ESCAPED, lambda found: chr(int(found[1], 16)) if found[1] else found[2])
    read = read.replaced(_OLD_CMD, lambda _: "%")
    read = read.replaced(_URLDEFENSE, _defended)
    return read.replaced(_UNRESERVED, lambda found: unquote(found[0]))


def _meant(character: str) -> str:
    """Return what an entity stands for: no blank, and a quote that closes none but its own."""
    return character.replace("\xa0", "").replace('"', "\u201c")


def _defended(found: re.Match[str]) -> str:
    """Return the address in a mail filter's link, in quotes, as the rest of the link follows."""
    # What version 3 puts elsewhere is not looked up: in a code it counts as damage.
    inner = (found[1] or "").replace("*", UNKNOWN)
    return f'"{inner or unquote(found[2].translate(str.maketrans("-_", "%/")))}"'


def _without_borders(text: str) -> str:
    """Take off quote marks, the sides of boxes, arrows, line numbers, and line continuations."""
    # The side of a box goes, but not the border behind a pane that is empty in this line.
    # Blanks in its place keep what is behind it in line.
    lines = [_SIDE.sub(lambda found: " " * len(found[0]), each, 1) for each in text.split("\n")]
    rows = [_COLUMN.split(line, maxsplit=_MOST_COLUMNS) for line in lines]
    signs = [[sign.strip() for sign in _COLUMN.findall(line)[:_MOST_COLUMNS]] for line in lines]
    read, is_beside = "", False
    # Lines with the same borders in the middle are panes beside each other, if they are in line.
    for borders, block in groupby(zip(signs, rows, strict=True), itemgetter(0)):
        cells = [row for _, row in block]
        edges = {tuple(map(_width, row[:-1])) for row in cells if row[-1].strip()}
        is_torn = len(edges) > 1  # then what goes on where, or begins there, cannot be told
        # Each is a text of its own.
        columns = (
            [[each] for row in cells for each in row] if is_torn else [*zip(*cells, strict=True)]
        )
        bare = [_without_numbers([*map(_bare, each)]) for each in columns]
        texts = ["".join(map(_continued, lines, [*lines[1:], None])) for lines in bare]
        # Nothing goes on from one to another, but behind a box where a line without borders does.
        texts = [f"{UNKNOWN * is_torn}{each}" for each in texts if each.strip()]
        read += (_BETWEEN if borders or is_beside else "") + _BETWEEN.join(texts)
        is_beside = len(texts) > 1
    return read


def _width(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    return len(text) + sum(map("WF".__contains__, map(unicodedata.east_asian_width, text)))


def _bare(line: str) -> str:
    return line.lstrip(_LEFT).rstrip(_RIGHT)


def _continued(line: str, following: str | None) -> str:
    """Return a line with its break, or without the mark that joins it to the next (a shell's)."""
    is_mark = line.endswith("^") or (line.endswith("`") and line.count("`") == 1)
    if line.endswith("\\"):
        # An empty line goes on with nothing; an escape's own was broken by a terminal.
        is_mark = following is None or (following != "" and not following.startswith("u00"))
    # The sign of a patch has to be seen, at a break.
    end = "" if is_mark and not _SIGN.match(following or "") else "\n"
    return f"{line[:-1] if is_mark else line}{end}"


def _without_numbers(lines: list[str]) -> list[str]:
    """Take off numbers of lines that follow each other, and the sign of a patch that all have."""
    full = [line for line in lines if line]
    signs, blanks = {line[0] for line in full}, {line[1:2] == " " for line in full}
    # No line of an address begins with + on purpose; with - it may, and then is one of a list.
    is_list = True in blanks or {line[1:2] for line in full[:1]} <= {*"-%&\\"}  # or a rule
    is_patch = (signs == {"+"} and False in blanks) or (signs == {"-"} and not is_list)
    if len(full) > 1 and is_patch:
        return [line[1:] for line in lines]
    found = {at: int(each[1]) for at, line in enumerate(lines) if (each := _NUMBER.match(line))}
    numbers = [*found.values()]
    around = zip(found, [-2, *numbers], numbers, [*numbers[1:], -2], strict=False)
    near = {at: [last + 1, after - 1].count(number) for at, last, number, after in around}
    return [_numberless(line, near.get(at, 0)) for at, line in enumerate(lines)]


def _numberless(line: str, near: int) -> str:
    """Return a line without its number, if there are one or two lines that it follows on."""
    if near == 1 and line.strip().isdigit():  # it could be the end of a code as well
        return UNKNOWN
    return _NUMBER.sub("", line, count=1) if near else line


def _percent_decoded(text: Text) -> Text:
    """Decode what is encoded as a whole, so that a link's own parameters stay outside of it."""
    if not _ENCODED.search(text.letters):
        return text
    gaps, inside = [*text.gaps], bytearray(len(text.letters))
    for found in _RUN.finditer(text.letters):
        start, end = found.span()
        if not _ENCODED.search(found[0]):
            continue
        inside[start:end] = b"\1" * (end - start)
        gaps[start : start + 1], gaps[end : end + 1] = ["4"], ["4"] * len(gaps[end : end + 1])
    return Text(text.letters, "".join(gaps)).replaced(
        _PERCENT, lambda found: unquote(found[0]) if inside[found.start()] else found[0]
    )


def _labelled(text: str) -> str:
    """Return the query that `code: …` and `state: …` on their own are."""
    found = [(each[1].lower(), each[each.lastindex or 1]) for each in _LABELLED.finditer(text)]
    pairs = dict.fromkeys(found)  # without what is said twice
    return "&".join(f"{name}={quote(value, errors='replace')}" for name, value in pairs)
