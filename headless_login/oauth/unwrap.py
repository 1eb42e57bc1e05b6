r"""What shells, terminals, chats and mails put around and into an answer, taken off again.

None of it can be part of a genuine answer: a query is form-urlencoded (RFC 6749 §4.1.2), so
blanks, control characters and ``< > " ` \ ^ |`` stand in it as %XX or not at all.
"""

from __future__ import annotations

import re
import unicodedata

# CSI and OSC sequences and character sets; also as `cat -v` shows CSI, and the bracketed-paste
# marks alone, which shells leave behind without their ESC.
_TERMINAL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-9A-Z]"
    r"|\^\[\[[0-9;]*[A-Za-z~]|\[20[01]~"
)
_HALF_MARKS = re.compile(r"(2?0?)0~(.*)\1(?:1~)", re.S)  # what readline leaves of ESC [ 200 ~
_ENTITY = re.compile(
    r"&(?:amp;)*((?:amp|quot|apos|lt|gt|nbsp|#[0-9]{1,7}|#x[0-9a-f]{1,6});)", re.I | re.A
)
_CONTINUED = re.compile(r"(?:[\\^]|(?<!`)`)\n")  # as in sh, in cmd.exe and in PowerShell
_ESCAPED = re.compile(r"\\(?:u00([2-7][0-9a-fA-F])|([!-/:-@\[-`{-~]))")
_CARET = re.compile(r"\^(?![\w\-.~])|(?<=%)\^", re.A)  # where cmd.exe needs one: not in a word
_QUOTES = "\"'`´“”„‟‘’‚‛«»‹›<>()「」『』【】《》（）＂＇"
_MARKS = re.escape(_QUOTES + "*")
_FULL_STOPS = ".,;!。，；！、…"

_COMMAND = re.compile(
    r"[^?]*?(?<![\w.\-~=&+#])(?:curl|wget|iwr|Invoke-WebRequest|fetch)(?:\.exe)?[\s(]", re.I | re.A
)
# A line break inside quotes, or in a word that is not quoted, was the terminal's; a comma or a
# bracket behind quotes is the program's.
_ARGUMENT = re.compile(
    r"""(?:\$'(?:[^'\\]|\\.)*'|'[^']*'|"(?:[^"\\]|\\.)*"|\\.|(?!(?<=['"])[,;)])[^\s'"\\]"""
    r"""|(?<![\s'"])\n(?!['"\s]|https?:))+""",
    re.S,
)
_QUOTED = re.compile(r'''(\\.)|\$'((?:[^'\\]|\\.)*)'|'([^']*)'|"((?:[^"\\]|\\.)*)"''', re.S)
_ADDRESS = re.compile(r"(?:--url=)?((?:https?:|localhost\b|127\.|\[::1).*)", re.I | re.A | re.S)
# Titles, greetings and dates, but nothing that an address could hold.
_WORDS_BEFORE = re.compile(
    rf"(?![{_MARKS}\s]*http)(?:[^?#&=/@]|[?&/](?=\s)|(?<=\d)/(?=\d))*?"
    rf"\s(?=[{_MARKS}]*https?://)",
    re.I | re.A,
)
_LINK = re.compile(  # Markdown's, maybe with a title, or Slack's
    rf"""[{_MARKS}]*(?:!?\[.*?\]\(<?([^()<>"']+)>?(?:"[^"]*")?\)|<([^<>|]+)\|[^<>]*>)"""
    rf"(?!\))[{_MARKS}{_FULL_STOPS}]*"  # a second bracket may be the code's
)


def unwrap(text: str) -> str:
    """Return the answer in a pasted text, without a blank or anything else that is not its own."""
    text = _resolved(_without_borders(_visible(text)))
    if command := _COMMAND.match(text):
        text = _command_address(text[command.end() :])
    elif words := _WORDS_BEFORE.match(text):
        text = text[words.end() :]
    text = _resolved("".join(text.split()))  # once more: an escape may have been broken in two
    text = _ESCAPED.sub(_unescaped, text)
    if link := _LINK.fullmatch(text):
        return link[1] or link[2]
    return _without_marks(text)


def _visible(text: str) -> str:
    """Return the text as a person sees it: no formatting, no control characters but blanks."""
    text = _TERMINAL.sub("", "".join(c for c in text if not _is_format(c)))
    text = "".join(c for c in text if c.isspace() or unicodedata.category(c) != "Cc").strip()
    halves = _HALF_MARKS.fullmatch(text)
    return halves[2] if halves else text


def _is_format(character: str) -> bool:
    # Variation selectors, the grapheme joiner and the object mark are no Cf, but as invisible.
    return (
        unicodedata.category(character) == "Cf"
        or "\ufe00" <= character <= "\ufe0f"
        or character in "\u034f\ufffc"
    )


def _without_borders(text: str) -> str:
    """Take off the quote marks of mails and chats, the sides of boxes, and line continuations."""
    lines = (
        "".join(c for c in line if not "\u2500" <= c <= "\u259f") for line in text.splitlines()
    )
    lines = (line.lstrip("> \t\xa0|").rstrip(" \t\xa0|") for line in lines)
    return _CONTINUED.sub("", "\n".join(filter(None, lines)))


def _resolved(text: str) -> str:
    """Undo HTML's escapes, doubled ones too, and cmd.exe's, which browsers copy along."""
    from html import unescape

    return _ENTITY.sub(lambda found: unescape(f"&{found[1]}"), _CARET.sub("", text))


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else found[2]


def _command_address(arguments: str) -> str:
    """Return the argument that is the address, or everything if none is."""
    addresses = []
    for argument in _ARGUMENT.findall(arguments):
        bare = "".join(_QUOTED.sub(lambda found: found[found.lastindex or 0], argument).split())
        if address := _ADDRESS.fullmatch(_ESCAPED.sub(_unescaped, bare)):
            addresses.append(address[1])
    answers = [address for address in addresses if "?" in address]  # neither proxy nor referrer
    return (answers + addresses + [arguments])[0]


def _without_marks(text: str) -> str:
    """Take off quotes, emphasis and full stops, but not what a code itself may end in."""
    bare = text.lstrip(_QUOTES + "*")
    if not re.split("[?&]", bare)[-1].startswith("code="):
        return bare.rstrip(_QUOTES + "*" + _FULL_STOPS)
    inside = len(bare) - (len(text) - len(bare))  # as much closes as opens, or nobody can tell
    return text if bare[inside:].strip(_QUOTES + "*") else bare[:inside]
