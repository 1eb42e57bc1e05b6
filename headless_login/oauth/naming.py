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

TOO_LONG = "That is longer than any answer (64 KiB)."
CANNOT_TELL = "The answer is unclear: where its code ends cannot be told."
DAMAGED = "The answer is damaged: its code is not as browsers write it."
_OTHER_CODEX = (
    "That is the page of another Codex, on the computer with the browser, which took the answer.",
    "Open the address again after ending the other `codex login` there, and paste what the "
    "browser ends at then.",
)
_MAIL_FILTER = (
    "That is a mail filter's link, in which the answer is hidden.",
    "Copy the whole address from the browser's address bar, not from the mail.",
)
_TELLING = 8  # so many letters of a state are no chance


class Expected(NamedTuple):
    """What one sign-in's answer is known by: where it ends and begins, its state and its issuer."""

    redirect_uri: str
    authorization_endpoint: str
    state: str
    issuer: str

    def rejection(self, message: str, error: str = "not_a_redirect") -> RejectedAnswer:
        """Return what says what to paste instead."""
        hint = f"Paste the whole address that begins with {self.redirect_uri}?"
        return RejectedAnswer(error, message, hint)

    def torn(self, how: str) -> RejectedAnswer:
        """Return what an answer is whose state is this sign-in's but for its end."""
        return RejectedAnswer("missing_state", f"The answer is not whole: its state {how}.")

    def foreign(self, text: str) -> RejectedAnswer:
        """Return what a text is that holds this state behind an address which is not ours alone."""
        if "code_challenge=" in text:
            return self._address_to_open()
        start = text.rfind("://")
        fault = self._address(f"http{text[start:]}") if start >= 0 else None
        return fault if fault and fault.message != DAMAGED else self._elsewhere(text)

    def unanchored(self, view: Text) -> RejectedAnswer:
        """Return what a text is that does not hold this state."""
        text = view.letters
        if not text:
            return self.rejection("Nothing was pasted.")
        before, found, rest = text.partition("://")
        if found:
            is_web = re.search(r"https?\Z", before, re.I | re.A)
            return self._address(f"{'http' if is_web else 'no'}://{rest}")
        if local := _REDIRECT_AUTHORITY.search(text):
            return self._address(f"http://{text[local.start() :]}")
        if query := re.search(r"(?:^|\W)((?:code|state|error|code_challenge)=.*)", text, re.A):
            return self._query(query[1])
        if "#" in text and not {*"?&="} & {*text}:
            return self._other_state(text.rpartition("#")[2])
        if re.search(r"\A[\"'`]*(?:sk|at)-|sk-(?:proj|svcacct|admin)-", text):
            return self.rejection("That looks like an API key or a token.")
        if _BARE_CODE.fullmatch(text) and view.gaps.count("1") <= text.count(":"):
            alone = "That looks like a code alone, without the state that shows whose it is."
            return self.rejection(alone, "missing_state")
        return self.rejection("That is not the address of the page that failed to load.")

    def _address(self, text: str) -> RejectedAnswer:
        parts = _URL.match(text)
        if parts is None:
            return self.rejection("That is not a complete address.")
        authority, path, query = parts[2], parts[3], parts[4] or ""
        _, _, issuer, authorize = self.authorization_endpoint.split("/", 3)
        *_, own, expected = self.redirect_uri.split("/", 3)
        local = _REDIRECT_AUTHORITY.fullmatch(authority)
        if re.search(r"(?:^|&)code_challenge=", query):
            return self._address_to_open()
        if authority.lower() == issuer.lower():
            return self._issuers_page(path, query, f"/{authorize}")
        if local and path == "/success":
            return RejectedAnswer("not_a_redirect", *_OTHER_CODEX)
        if _MAIL_FILTERS.search(authority):
            return RejectedAnswer("not_a_redirect", *_MAIL_FILTER)
        if local is None or parts[1].lower() not in ("http", "https"):
            return self._elsewhere(f"{path}?{query}")
        if local[1].lstrip("0") != own.rpartition(":")[2]:
            return self.rejection("That address has another port than this sign-in.")
        if path != f"/{expected}":
            return self.rejection("That address has another path than this sign-in.")
        return self._query(query)

    def _issuers_page(self, path: str, query: str, authorize: str) -> RejectedAnswer:
        if path == authorize:
            return self._address_to_open()
        if path == "/error":
            told = f"That is the issuer's error page{_details(query)}: the sign-in failed there."
            return RejectedAnswer("issuer_error_page", told)
        return self.rejection("That is a page of the issuer: the sign-in is not done yet.")

    def _query(self, query: str) -> RejectedAnswer:
        """Return the fault of a query without this state: of form first, then of state."""
        try:
            parameters = parse_query(query)
        except RejectedAnswer as rejected:
            return rejected.with_traceback(None)
        if "code_challenge" in parameters:
            return self._address_to_open()
        return self._other_state(parameters.get("state", ""))

    def _other_state(self, state: str) -> RejectedAnswer:
        if len(state) >= _TELLING and self.state.startswith(state) and state != self.state:
            return self.torn("is cut off")
        try:
            check_state(state, self.state)
        except RejectedAnswer as rejected:
            return rejected.with_traceback(None)
        return self.rejection(DAMAGED)

    def _elsewhere(self, text: str) -> RejectedAnswer:
        path = "/" + self.redirect_uri.split("/", 3)[3]
        if f"{path}?" in text and "state=" in text:
            forwarded = "That address leads to another host, as where a port is forwarded."
            ours = self.redirect_uri.removesuffix(path)
            way_out = f"Replace all before {path} in it with {ours}, and paste that."
            return RejectedAnswer("not_a_redirect", forwarded, way_out)
        return self.rejection("That address leads to another host.")

    def _address_to_open(self) -> RejectedAnswer:
        message = "That is the address to open, not the one the browser ends at."
        return self.rejection(message, "authorize_url_pasted")


def _details(query: str) -> str:
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
