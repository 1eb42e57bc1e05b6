"""What people paste, brought back to the authorization response that it was.

Every form of the contract is taken here; what none of them fits is named for what it is.
"""

from __future__ import annotations

import binascii
import json
import re
import unicodedata
from typing import TYPE_CHECKING

from headless_login.errors import RejectedAnswer
from headless_login.oauth.printable import identifier
from headless_login.oauth.redirect import RESPONSE_PARAMETERS, Parameters, parse_query

if TYPE_CHECKING:
    from headless_login.oauth.request import AuthorizationRequest

LONGEST_ANSWER = 64 * 1024  # bytes

_ESCAPE_SEQUENCE = re.compile(r"\x1b?\[20[01]~|\x1b\[[0-?]*[ -/]*[@-~]")
_AMPERSAND = re.compile(r"&(?:amp|#38|#x26);", re.IGNORECASE)
_SHELL_ESCAPE = re.compile(r"\\([?&=#%+:/.\[\]~_\-])")
_MARKDOWN_LINK = re.compile(r"!?\[.*?\]\(([^()\"']*).*?\)")
_QUOTES = "\"'`“”„‘’«»<>()"
_CURL = re.compile(r"\$?\s*curl(?:\.exe)?\s")
_ARGUMENT = re.compile(r"\$?'([^']*)'|\"([^\"]*)\"|(\S+)")
_URL = re.compile(r"([a-z][a-z0-9+.\-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.I | re.S)
_REDIRECT_AUTHORITY = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\]):(\d{1,5})", re.I)
_BARE_CODE = re.compile(r"[A-Za-z0-9._~\-]{20,2048}")


def read_pasted(text: str, request: AuthorizationRequest) -> Parameters:
    """Return the response parameters in a pasted text; raises RejectedAnswer if it has none."""
    if len(text.encode(errors="replace")) > LONGEST_ANSWER:
        raise _not_a_redirect("That is longer than any answer (64 KiB).", request)
    bare = _unwrap(text)
    if not bare:
        raise _not_a_redirect("Nothing was pasted.", request)
    if "://" in bare.partition("?")[0]:
        return _read_url(bare, request)
    head, mark, query = bare.partition("?")
    if mark and head:
        return _read_url(f"http://{bare}", request)
    if mark or "=" in bare:
        return _read_query(query if mark else bare, request)
    code, mark, state = bare.partition("#")
    if mark and code and state:
        return {"code": code, "state": state}
    raise _unfit(bare, request)


def _unwrap(text: str) -> str:
    """Take off everything that shells, chats, mails and terminals put around and into it."""
    text = _AMPERSAND.sub("&", _ESCAPE_SEQUENCE.sub("", text))
    text = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in ("Cf", "Cc"))
    if _CURL.match(text.lstrip()):
        text = _curl_address(text)
    text = _SHELL_ESCAPE.sub(r"\1", "".join(text.split())).strip(_QUOTES.replace(")", ""))
    link = _MARKDOWN_LINK.fullmatch(text)
    return (link[1] if link else text).strip(_QUOTES)


def _curl_address(line: str) -> str:
    """Return the argument of a curl command that is an address, or nothing."""
    line = line.replace("^", "")  # cmd.exe's escape, as browsers copy it
    for groups in _ARGUMENT.findall(line.lstrip().lstrip("$")):
        argument = "".join(groups)
        if re.match(r"\s*(?:https?:|localhost\b|127\.|\\?\[::1)", argument, re.IGNORECASE):
            return argument
    return ""


def _read_url(url: str, request: AuthorizationRequest) -> Parameters:
    parts = _URL.fullmatch(url)
    if parts is None:
        raise _not_a_redirect("That is not a complete address.", request)
    scheme, authority, path, query = (part or "" for part in parts.groups())
    _check_not_the_issuers(authority, path, query, request)
    if scheme.lower() != "http":
        raise _not_a_redirect("That address is not the one this sign-in ends at.", request)
    own = _URL.fullmatch(request.redirect_uri)
    local = _REDIRECT_AUTHORITY.fullmatch(authority)
    if own is None or local is None:
        raise _not_a_redirect("That address leads to another host.", request)
    if int(local[1]) != int(own[2].rpartition(":")[2]):
        raise _not_a_redirect("That address has another port than this sign-in.", request)
    if path != own[3]:
        raise _not_a_redirect("That address has another path than this sign-in.", request)
    return parse_query(query)


def _read_query(query: str, request: AuthorizationRequest) -> Parameters:
    parameters = parse_query(query.partition("#")[0])
    if "code_challenge" in parameters:
        raise _authorize_url(request)
    if not RESPONSE_PARAMETERS & parameters.keys():
        raise _not_a_redirect("That is not an answer to a sign-in.", request)
    return parameters


def _check_not_the_issuers(
    authority: str, path: str, query: str, request: AuthorizationRequest
) -> None:
    """Name the two pages of the issuer that people paste in place of the answer."""
    own = _URL.fullmatch(request.provider.authorization_endpoint)
    at_issuer = own is not None and authority.lower() == own[2].lower()
    if re.search(r"(?:^|&)code_challenge=", query) or (at_issuer and own and path == own[3]):
        raise _authorize_url(request)
    if at_issuer and path == "/error":
        raise RejectedAnswer(
            "issuer_error_page",
            f"That is the issuer's error page{_error_page_details(query)}: the sign-in failed "
            "there.",
            "Open the address above once more, and paste what the browser ends at.",
        )
    if at_issuer:
        raise _not_a_redirect("That is a page of the issuer: the sign-in is not done yet.", request)


def _error_page_details(query: str) -> str:
    """Return ` (errorCode, request …)` from the payload of auth.openai.com/error, or nothing."""
    payload = parse_query(query).get("payload", "").translate(str.maketrans("-_", "+/"))
    try:
        page = json.loads(binascii.a2b_base64(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(page, dict):
        return ""
    code, request_id = identifier(page.get("errorCode")), identifier(page.get("requestId"))
    told = [code] * bool(code) + [f"request {request_id}"] * bool(request_id)
    return f" ({', '.join(told)})" if told else ""


def _unfit(bare: str, request: AuthorizationRequest) -> RejectedAnswer:
    if _REDIRECT_AUTHORITY.match(bare):
        return RejectedAnswer("missing_state", "That address carries no answer.", _wanted(request))
    if bare.startswith("sk-"):
        return _not_a_redirect("That looks like an API key.", request)
    if _BARE_CODE.fullmatch(bare):
        return RejectedAnswer(
            "missing_state",
            "That looks like a code alone, without the state that shows whose it is.",
            _wanted(request),
        )
    return _not_a_redirect("That is not the address of the page that failed to load.", request)


def _authorize_url(request: AuthorizationRequest) -> RejectedAnswer:
    return RejectedAnswer(
        "authorize_url_pasted",
        "That is the address to open, not the one the browser ends at.",
        _wanted(request),
    )


def _not_a_redirect(message: str, request: AuthorizationRequest) -> RejectedAnswer:
    return RejectedAnswer("not_a_redirect", message, _wanted(request))


def _wanted(request: AuthorizationRequest) -> str:
    return f"Paste the whole address that begins with {request.redirect_uri}?"
