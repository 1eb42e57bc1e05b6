"""The judgement of an authorization response: form, state, iss, error, code, in this order.

State comes before everything that the response says, so that a forged one can neither finish
nor fail a sign-in (RFC 6749 §10.12, RFC 9207 §2.4, RFC 9700 §4.7).
"""

from __future__ import annotations

import hmac
import re
from collections import Counter
from urllib.parse import parse_qsl, unquote_plus

from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.text import identifier, printable

Parameters = dict[str, str]

# RFC 6749 §3.1: none of them may be included more than once.
RESPONSE_PARAMETERS = frozenset(
    {"code", "state", "iss", "scope", "error", "error_description", "error_uri"}
)
_CODE = re.compile(r"[\x20-\x7e]{20,2048}")  # RFC 6749 §A.11; lengths from codex-facts.md §2
_MOST_PARAMETERS = 64


def parse_query(query: str) -> Parameters:
    """Return the parameters of a query; a fragment after it must not say anything different.

    Raises:
        RejectedAnswer: broken escapes, doubled parameters, a code and an error together, or what
            only another reader of the query would find.
    """
    pairs = _pairs(query.partition("#")[0])
    if pairs is None:
        raise RejectedAnswer("not_a_redirect", "The answer is damaged: it cannot be decoded.")
    named = named_in(query)
    if doubled := sorted(name for name, count in named.items() if count > 1):
        raise RejectedAnswer(
            "duplicate_parameter",
            f"The answer contains {' and '.join(doubled)} more than once.",
        )
    if {"code", "error"} <= named.keys():
        raise RejectedAnswer(
            "ambiguous_response", "The answer contains a code and an error together."
        )
    parameters = dict(pairs)
    if hidden := sorted(named.keys() - parameters.keys()):
        raise RejectedAnswer(
            "ambiguous_response",
            f"The answer contains {' and '.join(hidden)} where only some programs look for it.",
        )
    return parameters


def _pairs(query: str) -> list[tuple[str, str]] | None:
    try:
        return parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        return None  # raised by the caller: the cause would carry the query along


def named_in(query: str) -> Counter[str]:
    """Count the parameters that any reader of the address could see, at `;`, `?` and `#` too."""
    names = (unquote_plus(part.partition("=")[0]) for part in re.split("[&;?#]", query))
    return Counter(name for name in names if name in RESPONSE_PARAMETERS)


def judge(parameters: Parameters, *, state: str, issuer: str, requires_iss: bool = False) -> str:
    """Return the authorization code of a response to the request with this state.

    `requires_iss` tells that the issuer names itself in every response (RFC 9207 §2.4).

    Raises:
        RejectedAnswer: not an answer to this request, or without a code.
        SignInRefused: the issuer's or the person's own refusal (RFC 6749 §4.1.2.1).
    """
    check_state(parameters.get("state", ""), state)
    if parameters.get("iss", None if requires_iss else issuer) != issuer:
        raise RejectedAnswer(
            "issuer_mismatch", "The answer comes from another authorization server."
        )
    if "error" in parameters:
        told = (parameters["error"], parameters.get("error_description", ""))
        raise _refusal(*(text.replace(state, "…") for text in told))  # the state is never shown
    code = parameters.get("code", "")
    if not code:
        raise RejectedAnswer("missing_code", "The answer contains no authorization code.")
    if not _CODE.fullmatch(code):
        raise RejectedAnswer("missing_code", "The authorization code is cut off or damaged.")
    return code


def check_state(state: str, expected: str) -> None:
    """Compare in constant time; raises RejectedAnswer if it is missing or another one."""
    if not state:
        raise RejectedAnswer(
            "missing_state", "The answer has no state, which shows to which sign-in it belongs."
        )
    # An answer from a pipe or an argument may hold bytes that are no UTF-8, kept as surrogates.
    if not hmac.compare_digest(state.encode(errors="surrogatepass"), expected.encode()):
        raise RejectedAnswer(
            "state_mismatch",
            "The answer belongs to another sign-in attempt: its state differs.",
        )


def _refusal(error: str, description: str) -> SignInRefused:
    if "missing_codex_entitlement" in (error, *re.split(r"\W+", description)):
        return SignInRefused(
            "missing_codex_entitlement",
            "This ChatGPT workspace does not allow you to use Codex.",
        )
    word = identifier(error) or "access_denied"
    told = printable(description) or "no reason was given"
    what = "The sign-in was denied" if word == "access_denied" else f"The issuer refused ({word})"
    return SignInRefused(word, f"{what}: {told.rstrip('.')}.")
