"""What a pasted text is that is no answer to this sign-in: one sentence, and what to do."""

from __future__ import annotations

import binascii
import json
import re
from typing import NamedTuple
from urllib.parse import unquote

from headless_login.errors import RejectedAnswer
from headless_login.oauth.decodings import HARD, Text
from headless_login.oauth.redirect import check_state, parse_query
from headless_login.oauth.text import identifier

# ASCII alone: without it, IGNORECASE takes a long s for an s, and \d the digits of every script.
_URL = re.compile(
    rf"([a-z][a-z0-9+.\-]*)://([^/?#{re.escape(HARD)}]*)([^?#{re.escape(HARD)}]*)"
    rf"(?:\?([^{re.escape(HARD)}]*))?",
    re.I | re.A,
)
_REDIRECT_AUTHORITY = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\]):([0-9]{1,5})", re.I | re.A)
_BARE_CODE = re.compile(r"(?:code:)?[A-Za-z0-9._~\-]{20,2048}", re.I)
_MAIL_FILTERS = re.compile(
    r"(?:^|\.)(?:safelinks\.|urldefense\.|mimecast\b|sophos\.|cudasvc\.|trendmicro\.|fireeye\.|"
    r"secure-web\.cisco\.)",
    re.I | re.A,
)

_TELLING = 8  # so many letters of a state are no chance


class Expected(NamedTuple):
    """What one sign-in's answer is known by: where it ends and begins, its state and its issuer."""

    redirect_uri: str
    authorization_endpoint: str
    state: str
    issuer: str

    @property
    def base(self) -> str:
        """The redirect URI without its path: `http://127.0.0.1:1455`."""
        return "/".join(self.redirect_uri.split("/")[:3])


def unanchored(view: Text, sign_in: Expected) -> RejectedAnswer:
    """Return what a text is that does not hold the state of this sign-in."""
    text = view.letters
    if not text:
        return not_a_redirect("Nothing was pasted.", sign_in)
    before, found, rest = text.partition("://")
    if found:
        scheme = re.search(r"(?:https?|(?<![a-z])[a-z][a-z0-9+.\-]*)\Z", before[-20:], re.I | re.A)
        scheme = re.search(r"https?\Z", before, re.I | re.A) or scheme
        return _address(f"{scheme[0] if scheme else 'no'}://{rest}", sign_in)
    if local := _REDIRECT_AUTHORITY.search(text):
        return _address(f"http://{text[local.start() :]}", sign_in)
    if query := re.search(r"(?:^|\W)((?:code|state|error|code_challenge)=.*)", text, re.A | re.S):
        return _query(query[1], sign_in)
    if "#" in text and not {*"?&="} & {*text}:
        return _other_state(text.rpartition("#")[2], sign_in)
    if re.search(r"\A[\"'`]*(?:sk|at)-|sk-(?:proj|svcacct|admin)-", text):
        return not_a_redirect("That looks like an API key or a token.", sign_in)
    if _BARE_CODE.fullmatch(text) and view.gaps.count("1") <= text.count(":"):
        return RejectedAnswer(
            "missing_state",
            "That looks like a code alone, without the state that shows whose it is.",
            _wanted(sign_in),
        )
    return not_a_redirect("That is not the address of the page that failed to load.", sign_in)


def _address(text: str, sign_in: Expected) -> RejectedAnswer:
    parts = _URL.match(text)
    if parts is None:
        return not_a_redirect("That is not a complete address.", sign_in)
    authority, path, query = parts[2], parts[3], parts[4] or ""
    own, at_issuer = _URL.match(sign_in.redirect_uri), _URL.match(sign_in.authorization_endpoint)
    local = _REDIRECT_AUTHORITY.fullmatch(authority)
    if re.search(r"(?:^|&)code_challenge=", query):
        return address_to_open(sign_in)
    if at_issuer and authority.lower() == at_issuer[2].lower():
        return _issuers_page(path, query, at_issuer[3], sign_in)
    if local and path == "/success":
        return RejectedAnswer(
            "not_a_redirect",
            "That is the page of another Codex, on the computer with the browser, which took the "
            "answer.",
            "Open the address again after ending the other `codex login` there, and paste what "
            "the browser ends at then.",
        )
    if _MAIL_FILTERS.search(authority):
        return RejectedAnswer(
            "not_a_redirect",
            "That is a mail filter's link, in which the answer is hidden.",
            "Copy the whole address from the browser's address bar, not from the mail.",
        )
    if local is None or own is None or parts[1].lower() not in ("http", "https"):
        return _elsewhere(f"{path}?{query}", sign_in)
    if local[1].lstrip("0") != own[2].rpartition(":")[2]:
        return not_a_redirect("That address has another port than this sign-in.", sign_in)
    if path != own[3]:
        return not_a_redirect("That address has another path than this sign-in.", sign_in)
    return _query(query, sign_in)


def _issuers_page(path: str, query: str, authorize: str, sign_in: Expected) -> RejectedAnswer:
    if path == authorize:
        return address_to_open(sign_in)
    if path == "/error":
        told = _error_page_details(query)
        return RejectedAnswer(
            "issuer_error_page",
            f"That is the issuer's error page{told}: the sign-in failed there.",
        )
    return not_a_redirect("That is a page of the issuer: the sign-in is not done yet.", sign_in)


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


def _query(query: str, sign_in: Expected) -> RejectedAnswer:
    """Return the fault of a query that does not hold our state: of form first, then of state."""
    try:
        parameters = parse_query(query)
    except RejectedAnswer as rejected:
        return rejected.with_traceback(None)
    if "code_challenge" in parameters:
        return address_to_open(sign_in)
    return _other_state(parameters.get("state", ""), sign_in)


def _other_state(state: str, sign_in: Expected) -> RejectedAnswer:
    if len(state) >= _TELLING and sign_in.state.startswith(state) and state != sign_in.state:
        return torn_state("is cut off")
    try:
        check_state(state, sign_in.state)
    except RejectedAnswer as rejected:
        return rejected.with_traceback(None)
    return damaged(sign_in)


def torn_state(how: str) -> RejectedAnswer:
    """Return what an answer is whose state is this sign-in's but for its end."""
    return RejectedAnswer("missing_state", f"The answer is not whole: its state {how}.")


def foreign(text: str, sign_in: Expected) -> RejectedAnswer:
    """Return what a text is that holds our state behind an address which is not ours alone."""
    if "code_challenge=" in text:
        return address_to_open(sign_in)
    start = text.rfind("://")
    fault = _address(f"http{text[start:]}", sign_in) if start >= 0 else None
    return fault if fault and "damaged" not in fault.message else _elsewhere(text, sign_in)


def _elsewhere(text: str, sign_in: Expected) -> RejectedAnswer:
    path = sign_in.redirect_uri.removeprefix(sign_in.base)
    if f"{path}?" in text and "state=" in text:
        return RejectedAnswer(
            "not_a_redirect",
            "That address leads to another host, as where a port is forwarded.",
            f"Replace all before {path} in it with {sign_in.base}, and paste that.",
        )
    return not_a_redirect("That address leads to another host.", sign_in)


def damaged(sign_in: Expected) -> RejectedAnswer:
    """Return what an answer is whose code cannot be what the issuer sent."""
    return not_a_redirect("The answer is damaged: its code is not as browsers write it.", sign_in)


def cannot_tell(sign_in: Expected) -> RejectedAnswer:
    """Return what an answer is that may go on where it seems to end."""
    return not_a_redirect("The answer is unclear: where its code ends cannot be told.", sign_in)


def address_to_open(sign_in: Expected) -> RejectedAnswer:
    """Return what the authorization request is, pasted in place of its answer."""
    return RejectedAnswer(
        "authorize_url_pasted",
        "That is the address to open, not the one the browser ends at.",
        _wanted(sign_in),
    )


def not_a_redirect(message: str, sign_in: Expected) -> RejectedAnswer:
    """Return a `not_a_redirect` that says what to paste instead."""
    return RejectedAnswer("not_a_redirect", message, _wanted(sign_in))


def _wanted(sign_in: Expected) -> str:
    return f"Paste the whole address that begins with {sign_in.redirect_uri}?"
