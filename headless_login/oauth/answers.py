"""What people paste, brought back to the authorization response that it was.

Every form of the contract is taken here; what none of them fits is named for what it is.
"""

from __future__ import annotations

import binascii
import json
import re
import unicodedata
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from headless_login.errors import RejectedAnswer
from headless_login.oauth.redirect import RESPONSE_PARAMETERS, Parameters, parse_query
from headless_login.oauth.text import identifier

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
    inside = len(bare) - (len(text) - len(bare))  # as much closes as opens, or it cannot be told
    return text if bare[inside:].strip(_QUOTES + "*") else bare[:inside]


LONGEST_ANSWER = 64 * 1024  # bytes

# ASCII alone: without it, IGNORECASE takes a long s for an s, and \d the digits of every script.
_URL = re.compile(r"([a-z][a-z0-9+.\-]*)://([^/?#]*)([^?#]*)(?:\?(.*)|#.*)?", re.I | re.A | re.S)
_REDIRECT_AUTHORITY = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\]):([0-9]{1,5})", re.I | re.A)
_QUERY = re.compile(r"[?&]|\w+=(?!=*#)", re.A)
# Never in a form-urlencoded value; only `=` at its end, as base64 has it, is forgiven.
_DAMAGED_CODE = re.compile(r"(?:^|&)code=[^&#]*(?:[<>\"\\^`{|}]|=[^=&#]|%(?![0-9A-Fa-f]{2}))")
_BARE_CODE = re.compile(r"[A-Za-z0-9._~\-]{20,2048}")
_CODE_AND_STATE = re.compile(r"([A-Za-z0-9._~+%!*\-]+=*)#([^#&?]+)")  # no address, no query


class Expected(NamedTuple):
    """The two addresses of one sign-in: where it ends, and where it begins."""

    redirect_uri: str
    authorization_endpoint: str


class Pasted:
    """A pasted text, unwrapped once; which sign-in it answers is judged by each one's addresses."""

    def __init__(self, text: str) -> None:
        """Unwrap a text of at most 64 KiB; a longer one is no answer."""
        self.is_too_long = len(text.encode(errors="replace")) > LONGEST_ANSWER
        self.text = "" if self.is_too_long else unwrap(text)

    @property
    def state(self) -> str:
        """The state that it carries, not judged yet: it tells whose answer this may be."""
        if both := _CODE_AND_STATE.fullmatch(self.text):
            return unquote(both[2])
        pairs = (part.partition("=") for part in re.split("[&?#]", self.text))
        states = {unquote_plus(value) for name, _, value in pairs if unquote_plus(name) == "state"}
        return states.pop() if len(states) == 1 else ""


def read_pasted(pasted: Pasted, sign_in: Expected) -> Parameters:
    """Return the response parameters in a pasted text; raises RejectedAnswer if it has none."""
    if pasted.is_too_long:
        raise _not_a_redirect("That is longer than any answer (64 KiB).", sign_in)
    if not pasted.text:
        raise _not_a_redirect("Nothing was pasted.", sign_in)
    return _read(pasted.text, sign_in)


def _read(bare: str, sign_in: Expected) -> Parameters:
    if _QUERY.match(bare):
        return _read_query(bare.lstrip("?&"), sign_in)
    if "://" in bare.partition("?")[0]:
        return _read_url(bare, sign_in)
    if bare.startswith("/") and not bare.startswith("//"):
        bare = _own(sign_in)[2] + bare
    if "?" in bare or _REDIRECT_AUTHORITY.match(bare):
        return _read_url(f"http://{bare.removeprefix('//')}", sign_in)
    if both := _CODE_AND_STATE.fullmatch(bare):
        # Out of an address, escapes are undone; a `+` is its own: no code has blanks in it.
        query = "code={}&state={}".format(*both.groups())
        return _read_answer(query.replace("+", "%2B"), sign_in)
    raise _unfit(bare, sign_in)


def _own(sign_in: Expected) -> re.Match[str]:
    own = _URL.fullmatch(sign_in.redirect_uri)
    assert own is not None  # noqa: S101  # nosec B101
    return own


def _read_url(url: str, sign_in: Expected) -> Parameters:
    parts = _URL.fullmatch(url)
    if parts is None:
        raise _not_a_redirect("That is not a complete address.", sign_in)
    scheme, authority, path, query = (part or "" for part in parts.groups())
    _check_not_the_issuers(authority, path, query, sign_in)
    if scheme.lower() != "http":
        raise _not_a_redirect("That address is not the one this sign-in ends at.", sign_in)
    local = _REDIRECT_AUTHORITY.fullmatch(authority)
    if local is None:
        raise _not_a_redirect("That address leads to another host.", sign_in)
    own = _own(sign_in)
    if local[1].lstrip("0") != own[2].rpartition(":")[2]:
        raise _not_a_redirect("That address has another port than this sign-in.", sign_in)
    if path != own[3]:
        raise _not_a_redirect("That address has another path than this sign-in.", sign_in)
    return _read_answer(query, sign_in)


def _read_query(query: str, sign_in: Expected) -> Parameters:
    parameters = _read_answer(query, sign_in)
    if "code_challenge" in parameters:
        raise _authorize_url(sign_in)
    if not RESPONSE_PARAMETERS & parameters.keys():
        raise _not_a_redirect("That is not an answer to a sign-in.", sign_in)
    return parameters


def _read_answer(query: str, sign_in: Expected) -> Parameters:
    parameters = parse_query(query)
    # A code is sent on as it stands: what a wrapping left in it would spend the whole sign-in.
    if _DAMAGED_CODE.search(query):
        raise _not_a_redirect(
            "The answer is damaged: its code is not as browsers write it.", sign_in
        )
    return parameters


def _check_not_the_issuers(authority: str, path: str, query: str, sign_in: Expected) -> None:
    """Name the two pages of the issuer that people paste in place of the answer."""
    own = _URL.fullmatch(sign_in.authorization_endpoint)
    at_issuer = own is not None and authority.lower() == own[2].lower()
    if re.search(r"(?:^|&)code_challenge=", query) or (own and at_issuer and path == own[3]):
        raise _authorize_url(sign_in)
    if at_issuer and path == "/error":
        raise RejectedAnswer(
            "issuer_error_page",
            f"That is the issuer's error page{_error_page_details(query)}: the sign-in failed "
            "there.",
        )
    if at_issuer:
        raise _not_a_redirect("That is a page of the issuer: the sign-in is not done yet.", sign_in)


def _error_page_details(query: str) -> str:
    """Return ` (errorCode, request …)` from the payload of auth.openai.com/error, or nothing."""
    found = re.search(r"(?:^|&)payload=([^&#]*)", query)
    payload = unquote(found[1] if found else "").translate(str.maketrans("-_ ", "+/+"))
    try:
        page = json.loads(binascii.a2b_base64(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(page, dict):
        return ""
    code, request_id = identifier(page.get("errorCode")), identifier(page.get("requestId"))
    told = [code] * bool(code) + [f"request {request_id}"] * bool(request_id)
    return f" ({', '.join(told)})" if told else ""


def _unfit(bare: str, sign_in: Expected) -> RejectedAnswer:
    if bare.startswith("sk-"):
        return _not_a_redirect("That looks like an API key.", sign_in)
    if _BARE_CODE.fullmatch(bare):
        return RejectedAnswer(
            "missing_state",
            "That looks like a code alone, without the state that shows whose it is.",
            _wanted(sign_in),
        )
    return _not_a_redirect("That is not the address of the page that failed to load.", sign_in)


def _authorize_url(sign_in: Expected) -> RejectedAnswer:
    return RejectedAnswer(
        "authorize_url_pasted",
        "That is the address to open, not the one the browser ends at.",
        _wanted(sign_in),
    )


def _not_a_redirect(message: str, sign_in: Expected) -> RejectedAnswer:
    return RejectedAnswer("not_a_redirect", message, _wanted(sign_in))


def _wanted(sign_in: Expected) -> str:
    return f"Paste the whole address that begins with {sign_in.redirect_uri}?"
