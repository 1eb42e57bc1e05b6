"""The judgement of what a token endpoint answers (RFC 6749 §5, codex-facts.md §3).

Bodies are read here and nowhere shown: an error names its code, its description and the request,
each stripped of anything that could be a secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from headless_login.errors import (
    HeadlessLoginError,
    IssuerTrouble,
    OutcomeUnknown,
    RefreshRefused,
    SignInRefused,
)
from headless_login.oauth.text import identifier, is_one_word, printable
from headless_login.oauth.values import Refreshed, Tokens

_TOKENS = ("id_token", "access_token", "refresh_token")
_PASSES = (408, 425, 429)  # time-out, too early, too many: what is asked again may be answered


def is_success(status: int) -> bool:
    """Return whether an answer is one, for which a code is spent: Codex takes every 2xx for it."""
    return 200 <= status < 300


def read_token_response(
    status: int, headers: Mapping[str, str], body: bytes, *, refreshable: bool = True
) -> Tokens:
    """Return the tokens in an answer; `headers` compares names without case.

    Without `refreshable` the refresh token may be missing, as RFC 6749 §5.1 allows.

    Raises:
        SignInRefused: `invalid_grant`; the issuer refused the code.
        IssuerTrouble: everything that is no answer to the question.
    """
    document = read_document(body)
    tokens = [document.get(name) for name in _TOKENS]
    if not refreshable:
        tokens[2] = tokens[2] or ""
    texts = all(isinstance(token, str) for token in tokens)
    if is_success(status) and texts and all(tokens if refreshable else tokens[:2]):
        return Tokens(*map(str, tokens))
    raise _refusal(status, headers, body, document)


def _refusal(
    status: int, headers: Mapping[str, str], body: bytes, document: Mapping[str, object]
) -> HeadlessLoginError:
    trouble = read_trouble(status, headers, body)
    if trouble is not None:
        return trouble
    word, description = read_error(document)
    request = _request_id(headers)
    if word and (is_success(status) or status in (400, 401, 403)):
        told = f": {description.rstrip('.')}" if description else ""
        return SignInRefused(
            "invalid_grant", f"The issuer refused the code ({word}{told}{request})."
        )
    return IssuerTrouble(
        "token_response_invalid",
        f"The issuer's answer is not usable: {_shape(status, body, document)}{request}.",
    )


def read_trouble(status: int, headers: Mapping[str, str], body: bytes) -> IssuerTrouble | None:
    """Return what is wrong with the issuer or the way to it, or None if the answer is its own."""
    word, _ = read_error(read_document(body))
    request = _request_id(headers)
    if _is_challenge(status, headers, body):
        return IssuerTrouble(
            "challenge_page",
            f"A challenge page for browsers answered in place of the issuer{request}.",
        )
    if "unsupported_country" in word:
        return IssuerTrouble(
            "unsupported_country",
            f"The issuer does not serve the country this machine appears to be in{request}.",
        )
    if status in _PASSES or status >= 500 or word in ("server_error", "temporarily_unavailable"):
        return IssuerTrouble(
            "issuer_unreachable", f"The issuer is busy or broken (HTTP {status}{request})."
        )
    return None


_REFUSED = {
    "refresh_token_reused": "it was used before, by another program or by another copy of it",  # nosec B105
    "refresh_token_expired": "it has expired",  # nosec B105
    "refresh_token_invalidated": "it was revoked, as by a sign-out or a newer sign-in",  # nosec B105
}
_SPENT = "Run it again; if the refresh token is refused then, sign in again."


def read_refresh_response(status: int, headers: Mapping[str, str], body: bytes) -> Refreshed:
    """Return the tokens in an answer to a refresh; judged as Codex does (codex-facts.md §14).

    Raises:
        RefreshRefused: the refresh token is worth nothing any more.
        OutcomeUnknown: a success without tokens: the refresh token may be used up.
        IssuerTrouble: everything else; it may be otherwise when it is asked again.
    """
    document = read_document(body)
    word, _ = read_error(document)
    request = _request_id(headers)
    if status == 401 or (
        status in (400, 403) and (word in _REFUSED or (word == "invalid_grant" and status == 400))
    ):
        why = _REFUSED.get(word, "it is not accepted any more")
        named = f"{word or f'HTTP {status}'}{request}"
        raise RefreshRefused(word, f"The issuer refused the refresh token: {why} ({named}).")
    if trouble := read_trouble(status, headers, body):
        raise trouble
    given = [document.get(name) or None for name in _TOKENS]
    if not isinstance(given[0], str):  # the old ID token does as well
        given[0] = None
    if (
        is_success(status)
        and any(given)
        and all(each is None or is_one_word(each) for each in given[1:])
    ):
        return Refreshed(*(None if each is None else str(each) for each in given))
    what = f"HTTP {status}, {word}" if word else _shape(status, body, document)
    if is_success(status) and document:
        what = "a token in it is none" if any(given) else "it holds no token"
    told = f"The issuer's answer to the refresh is not usable: {what}{request}."
    if is_success(status):
        raise OutcomeUnknown("token_response_invalid", told, _SPENT)
    raise IssuerTrouble("token_response_invalid", told, "Try again later.")


def unknown_outcome(trouble: IssuerTrouble | None) -> OutcomeUnknown:
    """Return the error for a refresh whose answer was lost, and what lost it."""
    why = trouble.message.rstrip(".") if trouble else "Its answer was lost on its way"
    return OutcomeUnknown(
        trouble.error if trouble else "issuer_unreachable",
        f"{why}. The refresh had been sent, so that the refresh token may be used up.",
        _SPENT,
    )


_METADATA = {
    **dict.fromkeys(("chatgpt_user_id", "chatgpt_account_id", "chatgpt_plan_type"), str),
    "chatgpt_account_is_fedramp": bool,
}


def read_metadata_of_token(
    status: int, headers: Mapping[str, str], body: bytes
) -> Mapping[str, object]:
    """Return what is known of a personal access token, as Codex needs it (codex-facts.md §11).

    Raises:
        SignInRefused: `access_denied`; the token is not accepted.
        IssuerTrouble: everything that is no answer to the question.
    """
    if trouble := read_trouble(status, headers, body):
        raise trouble
    document = read_document(body)
    request = _request_id(headers)
    if status in (400, 401, 403, 404):
        raise SignInRefused(
            "access_denied",
            f"OpenAI does not accept this access token (HTTP {status}{request}).",
            "Make a new one, or check that it was copied whole.",
        )
    missing = [name for name, kind in _METADATA.items() if not isinstance(document.get(name), kind)]
    if missing or not is_success(status):
        what = f"it lacks {missing[0]}" if is_success(status) else f"HTTP {status} without a reason"
        raise IssuerTrouble(
            "token_response_invalid",
            f"The issuer's answer is not usable: {what}{request}.",
            "Try again later.",
        )
    return document


def read_error(document: Mapping[str, object]) -> tuple[str, str]:
    """Return code and description of an error in OpenAI's nested or OAuth's flat form."""
    error = document.get("error")
    nested = error if isinstance(error, dict) else document
    word = identifier(nested.get("code")) or identifier(error) or identifier(nested.get("type"))
    description = document.get("error_description") or nested.get("message") or ""
    return word, printable(description) if isinstance(description, str) else ""


def read_document(body: bytes) -> Mapping[str, object]:
    """Return the JSON object in a body, or an empty one."""
    document = _parsed(body)
    return document if isinstance(document, dict) else {}


def is_json(body: bytes) -> bool:
    """Return whether a body is JSON of any shape, so that an issuer may have meant it."""
    return _parsed(body) is not _UNREADABLE


_UNREADABLE = object()


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _UNREADABLE


def _is_challenge(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    if headers.get("cf-mitigated", "").lower() == "challenge":
        return True
    return status in (403, 429, 503) and _is_html(body)


def _is_html(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


def _shape(status: int, body: bytes, document: Mapping[str, object]) -> str:
    if 300 <= status < 400:
        return "it redirects to another place"
    if not is_success(status):
        return f"HTTP {status} without a reason"
    if _is_html(body):
        return "a web page in place of tokens; is there a proxy that wants a sign-in?"
    missing = [
        name for name in _TOKENS if not (isinstance(document.get(name), str) and document[name])
    ]
    return f"it lacks {', '.join(missing)}" if document else "it is not JSON"


def _request_id(headers: Mapping[str, str]) -> str:
    names = ("x-request-id", "cf-ray")
    found = [f"{name} {headers[name]}" for name in names if identifier(headers.get(name))]
    return f"; {', '.join(found)}" if found else ""
