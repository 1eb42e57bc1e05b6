"""The judgement of an authorization response: form, state, iss, error, code, in this order.

State comes before everything that the response says, so that a forged one can neither finish
nor fail a sign-in (RFC 6749 §10.12, RFC 9207 §2.4, RFC 9700 §4.7).
"""

from __future__ import annotations

import hmac
import re
from urllib.parse import parse_qsl

from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.printable import identifier, printable

Parameters = dict[str, str]

# RFC 6749 §3.1: none of them may be included more than once.
RESPONSE_PARAMETERS = frozenset(
    {"code", "state", "iss", "scope", "error", "error_description", "error_uri"}
)
_CODE = re.compile(r"[\x20-\x7e]{20,2048}")  # RFC 6749 §A.11; lengths from codex-facts.md §2
_MOST_PARAMETERS = 64

_COPY_AGAIN = "Copy the whole address from the address bar once more and paste it."
_THIS_ATTEMPT = "Open the address shown above, sign in there, and paste what that ends at."


def parse_query(query: str) -> Parameters:
    """Take a query apart; raises RejectedAnswer for doubled parameters and for broken escapes."""
    pairs = _pairs(query)
    if pairs is None:
        raise RejectedAnswer(
            "not_a_redirect", "The answer is damaged: it cannot be decoded.", _COPY_AGAIN
        )
    names = [name for name, _ in pairs if name in RESPONSE_PARAMETERS]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise RejectedAnswer(
            "duplicate_parameter",
            f"The answer contains {' and '.join(doubled)} more than once.",
            _COPY_AGAIN,
        )
    return dict(pairs)


def _pairs(query: str) -> list[tuple[str, str]] | None:
    try:
        return parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        return None  # raised by the caller: the cause would carry the query along


def judge(parameters: Parameters, *, state: str, issuer: str) -> str:
    """Return the authorization code of a response to the request with this state.

    Raises:
        RejectedAnswer: malformed, or not an answer to this request.
        SignInRefused: the issuer's or the person's own refusal (RFC 6749 §4.1.2.1).
    """
    if "code" in parameters and "error" in parameters:
        raise RejectedAnswer(
            "ambiguous_response", "The answer contains a code and an error together.", _COPY_AGAIN
        )
    _check_state(parameters.get("state", ""), state)
    if "iss" in parameters and parameters["iss"] != issuer:
        raise RejectedAnswer(
            "issuer_mismatch", "The answer comes from another authorization server.", _THIS_ATTEMPT
        )
    if "error" in parameters:
        raise _refusal(parameters["error"], parameters.get("error_description", ""))
    code = parameters.get("code", "")
    if not code:
        raise RejectedAnswer(
            "missing_code", "The answer contains no authorization code.", _COPY_AGAIN
        )
    if not _CODE.fullmatch(code):
        raise RejectedAnswer(
            "missing_code", "The authorization code is cut off or damaged.", _COPY_AGAIN
        )
    return code


def _check_state(state: str, expected: str) -> None:
    if not state:
        raise RejectedAnswer(
            "missing_state", "The answer has no state, so nobody can tell whose it is.", _COPY_AGAIN
        )
    if not hmac.compare_digest(state.encode(), expected.encode()):
        raise RejectedAnswer(
            "state_mismatch",
            "The answer belongs to another sign-in attempt: its state differs.",
            _THIS_ATTEMPT,
        )


def _refusal(error: str, description: str) -> SignInRefused:
    if "missing_codex_entitlement" in (error, *re.split(r"\W+", description)):
        return SignInRefused(
            "missing_codex_entitlement",
            "This ChatGPT workspace does not allow you to use Codex.",
            "Ask the workspace's administrator for access to Codex.",
        )
    word = identifier(error) or "access_denied"
    told = printable(description) or "no reason was given"
    what = "The sign-in was denied" if word == "access_denied" else f"The issuer refused ({word})"
    return SignInRefused(word, f"{what}: {told.rstrip('.')}.", "Start a new sign-in.")
