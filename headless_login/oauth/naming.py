"""What a pasted text is that is no answer to this sign-in: one sentence, and what to do."""

from __future__ import annotations

import re

from headless_login.errors import RejectedAnswer
from headless_login.oauth.decodings import HARD, Text
from headless_login.oauth.redirect import check_state, parse_query
from headless_login.oauth.text import error_page_details
from headless_login.typed import NamedTuple

# ASCII alone: without it, IGNORECASE takes a long s for an s, and \d the digits of every script.
_LOCAL = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\]):([0-9]{1,5})", re.I | re.A)
_URL = re.compile(
    rf"(https?)?://([^/?#{re.escape(HARD)}]*)([^?#{re.escape(HARD)}]*)(?:\?([^{re.escape(HARD)}]*))?",
    re.I | re.A,
)
_QUERY = re.compile(r"(?:^|\W)((?:code|state|error|code_challenge)=.*)", re.A)
_KEY = re.compile(r"\A[\"'`]*(?:sk|at)-|sk-(?:proj|svcacct|admin)-")
_CODE_ALONE = re.compile(r"(?:code:)?[A-Za-z0-9._~\-]{20,2048}", re.I)
_MAIL_FILTERS = re.compile(
    r"(?ai)\b(?:safelinks|urldefense|mimecast|sophos|cudasvc|trendmicro|fireeye|secure-web\.cisco)\."
)
_TELLING = 8  # so many letters of a state are no chance

TOO_LONG = "That is longer than any answer (64 KiB)."
DIFFERENT = "That holds different answers to this sign-in, not one."
CANNOT_TELL = "The answer is unclear: where its code ends cannot be told."
DAMAGED = "The answer is damaged: its code is not as browsers write it."
_OPEN = ("That is the address to open, not the one the browser ends at.", "authorize_url_pasted")
_ALONE = (
    "That looks like a code alone, without the state that shows whose it is.",
    "missing_state",
)
_MAIL_FILTER = "That is a mail filter's link, in which the answer is hidden."
_OTHER_CODEX = (
    "That is the page of another Codex, on the computer with the browser, which took the answer.",
    "Open the address again after ending the other `codex login` there, and paste what the "
    "browser ends at then.",
)


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
        found = _URL.search(f"http{text[text.rfind('://') :]}") if "://" in text else None
        fault = self._query(text) if "code_challenge=" in text else found and self._address(found)
        return fault if fault and fault.message != DAMAGED else self._elsewhere(text)

    def unanchored(self, view: Text) -> RejectedAnswer:
        """Return what a text is that does not hold this state."""
        text = view.letters
        if found := _URL.search(text) or _URL.search(_LOCAL.sub(r"http://\g<0>", text)):
            return self._address(found)
        if query := _QUERY.search(text):
            return self._query(query[1])
        if "#" in text and not {*"?&="} & {*text}:
            return self._query(f"state={text.rpartition('#')[2]}")
        if _KEY.search(text):
            return self.rejection("That looks like an API key or a token.")
        if _CODE_ALONE.fullmatch(text) and view.gaps.count("1") <= text.count(":"):
            return self.rejection(*_ALONE)
        if not text:
            return self.rejection("Nothing was pasted.")
        return self.rejection("That is not the address of the page that failed to load.")

    def _address(self, found: re.Match[str]) -> RejectedAnswer:
        scheme, authority, path, query = found.groups("")
        _, _, issuer, authorize = self.authorization_endpoint.split("/", 3)
        _, _, own, expected = self.redirect_uri.split("/", 3)
        local = _LOCAL.fullmatch(authority)
        at_issuer = authority.lower() == issuer.lower()
        if "code_challenge=" in query or (at_issuer and path == f"/{authorize}"):
            return self.rejection(*_OPEN)
        if at_issuer and path == "/error":
            page = f"That is the issuer's error page{error_page_details(query)}"
            return RejectedAnswer("issuer_error_page", f"{page}: the sign-in failed there.")
        if at_issuer:
            return self.rejection("That is a page of the issuer: the sign-in is not done yet.")
        if local and path == "/success":
            return RejectedAnswer("not_a_redirect", *_OTHER_CODEX)
        if _MAIL_FILTERS.search(authority):
            return RejectedAnswer("not_a_redirect", _MAIL_FILTER)
        if not local or not scheme:
            return self._elsewhere(f"{path}?{query}")
        if local[1].lstrip("0") != own.rpartition(":")[2]:
            return self.rejection("That address has another port than this sign-in.")
        if path != f"/{expected}":
            return self.rejection("That address has another path than this sign-in.")
        return self._query(query)

    def _elsewhere(self, text: str) -> RejectedAnswer:
        path = "/" + self.redirect_uri.split("/", 3)[3]
        if f"{path}?" not in text or "state=" not in text:
            return self.rejection("That address leads to another host.")
        what = "That address leads to another host, as where a port is forwarded."
        ours = self.redirect_uri.removesuffix(path)
        hint = f"Replace all before {path} in it with {ours}, and paste that."
        return RejectedAnswer("not_a_redirect", what, hint)

    def _query(self, query: str) -> RejectedAnswer:
        """Return the fault of a query without this state: of form first, then of state."""
        if "code_challenge=" in query:
            return self.rejection(*_OPEN)
        try:
            state = parse_query(query).get("state", "")
            if len(state) >= _TELLING and self.state.startswith(state) and state != self.state:
                return self.torn("is cut off")
            check_state(state, self.state)
        except RejectedAnswer as rejected:
            return rejected.with_traceback(None)
        return self.rejection(DAMAGED)
