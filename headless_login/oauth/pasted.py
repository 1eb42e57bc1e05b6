"""What people paste, brought back to the authorization response that it was.

Every form of the contract is taken here; what none of them fits is named for what it is.
"""

from __future__ import annotations

import binascii
import json
import re
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

from headless_login.errors import RejectedAnswer
from headless_login.oauth.printable import identifier
from headless_login.oauth.redirect import RESPONSE_PARAMETERS, Parameters, parse_query
from headless_login.oauth.unwrap import unwrap

LONGEST_ANSWER = 64 * 1024  # bytes

# ASCII alone: without it, IGNORECASE takes a long s for an s, and \d the digits of every script.
_URL = re.compile(r"([a-z][a-z0-9+.\-]*)://([^/?#]*)([^?#]*)(?:\?(.*)|#.*)?", re.I | re.A | re.S)
_REDIRECT_AUTHORITY = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\]):([0-9]{1,5})", re.I | re.A)
_QUERY = re.compile(r"[?&]|\w+=(?!=*#)", re.A)
# Never in a form-urlencoded value; only `=` at its end, as base64 has it, is forgiven.
_DAMAGED_CODE = re.compile(r"(?:^|&)code=[^&#]*(?:[<>\"\\^`{|}]|=[^=&#]|%(?![0-9A-Fa-f]{2}))")
_BARE_CODE = re.compile(r"[A-Za-z0-9._~\-]{20,2048}")
_CODE_AND_STATE = re.compile(r"([A-Za-z0-9._~+%!*\-]+=*)#([^#&?]+)")  # no address, no query


@dataclass(frozen=True, slots=True)
class Expected:
    """The two addresses of one sign-in: where it ends, and where it begins."""

    redirect_uri: str
    authorization_endpoint: str


def read_pasted(text: str, sign_in: Expected) -> Parameters:
    """Return the response parameters in a pasted text; raises RejectedAnswer if it has none."""
    if len(text.encode(errors="replace")) > LONGEST_ANSWER:
        raise _not_a_redirect("That is longer than any answer (64 KiB).", sign_in)
    bare = unwrap(text)
    if not bare:
        raise _not_a_redirect("Nothing was pasted.", sign_in)
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


def state_in(text: str) -> str:
    """Return the state that a pasted text carries, or nothing: it tells whose answer this may be.

    Nothing is judged yet: that is for `read_pasted`, with the sign-in that is found by it.
    """
    if len(text) > LONGEST_ANSWER:
        return ""
    bare = unwrap(text)
    if both := _CODE_AND_STATE.fullmatch(bare):
        return unquote(both[2])
    pairs = (part.partition("=") for part in re.split("[&?#]", bare))
    states = {unquote_plus(value) for name, _, value in pairs if unquote_plus(name) == "state"}
    return states.pop() if len(states) == 1 else ""


def _own(sign_in: Expected) -> re.Match[str]:
    own = _URL.fullmatch(sign_in.redirect_uri)
    assert own is not None  # noqa: S101
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
            "Open the address above once more, and paste what the browser ends at.",
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
