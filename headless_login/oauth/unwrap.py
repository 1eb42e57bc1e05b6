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
_HALF_A_MARK = re.compile(r"2?0?0~")  # what readline leaves of ESC [ 200 ~
_ENTITY = re.compile(
    r"&(?:amp;)*((?:amp|quot|apos|lt|gt|nbsp|#[0-9]{1,7}|#x[0-9a-f]{1,6});)", re.I | re.A
)
_CONTINUED = re.compile(r"[\\^`][ \t]*\r?\n[ \t]*")  # the marks of sh, cmd.exe and PowerShell
_ESCAPED = re.compile(r"\\(?:u00([2-7][0-9a-fA-F])|([!-/:-@\[-`{-~]))")
_QUOTES = "\"'`´“”„‟‘’‚‛«»‹›<>()「」『』【】《》（）＂＇"
_FULL_STOPS = ".,;!。，；！、…"

_COMMAND = re.compile(
    r"[^?]*?(?<![\w.\-])(?:curl|wget|iwr|Invoke-WebRequest|fetch)(?:\.exe)?[\s(]", re.I | re.A
)
# A line break inside quotes, or in a word that is not quoted, was the terminal's.
_ARGUMENT = re.compile(
    r"""(?:\$?'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\]|(?<![\s'"])\n(?!['"\s]|https?:))+""", re.S
)
_ADDRESS = re.compile(r"(?:--url=)?((?:https?:|localhost\b|127\.|\[::1).*)", re.I | re.A | re.S)
_WORDS_BEFORE = re.compile(rf"[^?#&=/@]*?\s(?=[{re.escape(_QUOTES)}*]*https?://)", re.I | re.A)


def unwrap(text: str) -> str:
    """Return the answer in a pasted text, without a blank or anything else that is not its own."""
    text = _resolved(_without_borders(_visible(text)))
    if command := _COMMAND.match(text):
        text = _command_address(text[command.end() :])
    elif words := _WORDS_BEFORE.match(text):
        text = text[words.end() :]
    text = _resolved("".join(text.split()))  # once more: an escape may have been broken in two
    text = _link_target(_ESCAPED.sub(_unescaped, text).strip("*"))
    return text.strip(_QUOTES + "*").rstrip(_QUOTES + "*" + _FULL_STOPS)


def _visible(text: str) -> str:
    """Return the text as a person sees it: no formatting, no control characters but blanks."""
    text = _TERMINAL.sub("", "".join(c for c in text if not _is_format(c)))
    text = "".join(c for c in text if c.isspace() or unicodedata.category(c) != "Cc").strip()
    if mark := _HALF_A_MARK.match(text):
        return text[mark.end() :].removesuffix(f"{mark[0][:-2]}1~")
    return text


def _is_format(character: str) -> bool:
    # Variation selectors, the grapheme joiner and the object mark are no Cf, but as invisible.
    return (
        unicodedata.category(character) == "Cf"
        or "\ufe00" <= character <= "\ufe0f"
        or character in "\u034f\ufffc"
    )


def _without_borders(text: str) -> str:
    """Take off line continuations, the quote marks of mails and chats, and the sides of boxes."""
    lines = _CONTINUED.sub("", text).splitlines()
    lines = ["".join(c for c in line if not "\u2500" <= c <= "\u259f") for line in lines]
    return "\n".join(filter(None, (line.strip(">| \t\xa0") for line in lines)))


def _resolved(text: str) -> str:
    """Undo HTML's escapes, doubled ones too, and cmd.exe's, which browsers copy along."""
    from html import unescape

    return _ENTITY.sub(lambda found: unescape(f"&{found[1]}"), text.replace("^", ""))


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else found[2]


def _command_address(arguments: str) -> str:
    """Return the argument that is the address, or everything if none is."""
    addresses = []
    for argument in _ARGUMENT.findall(arguments):
        bare = "".join(argument.split()).lstrip("$").translate({34: None, 39: None})
        if address := _ADDRESS.fullmatch(_ESCAPED.sub(_unescaped, bare)):
            addresses.append(address[1])
    answers = [address for address in addresses if "?" in address]  # neither proxy nor referrer
    return (answers + addresses + [arguments])[0]


def _link_target(text: str) -> str:
    """Return the address of a Markdown link or of a Slack one, or the text itself."""
    if text.lstrip("!").startswith("[") and "](" in text:
        return re.split(r"[()<>\"']", text.partition("](")[2].lstrip("<"), maxsplit=1)[0]
    if text.startswith("<"):
        return text.partition("|")[0]
    return text
