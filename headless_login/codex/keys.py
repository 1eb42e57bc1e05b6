"""What a person already has and gives on standard input: an API key, or an access token."""

from __future__ import annotations

import codecs
import sys
import time
from collections.abc import Callable, Mapping

from headless_login.errors import SignInRefused, WrongUsage
from headless_login.oauth.identity import Claims, claims_of, numeric_date
from headless_login.oauth.text import fed
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

LONGEST_KEY = 4096  # bytes
LONGEST_TOKEN = 64 * 1024  # bytes
# How they are piped in; on Windows no variable is written alike in both shells.
_WITH_KEY = "headless-login login --with-api-key"
PIPE_KEY = fed(_WITH_KEY) if sys.platform == "win32" else f"printenv OPENAI_API_KEY | {_WITH_KEY}"
PIPE_TOKEN = fed("headless-login login --with-access-token")
_PIPE_KEY, _PIPE_TOKEN = f"Pipe it in: {PIPE_KEY}", f"Pipe it in: {PIPE_TOKEN}"

AGENT_IDENTITY_ISSUER = "https://chatgpt.com/codex-backend/agent-identity"
_AGENT_IDENTITY_AUDIENCE = "codex-app-server"
_AGENT_IDENTITY_CLAIMS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("agent_runtime_id", "agent_private_key", "account_id"), str),
    **dict.fromkeys(("chatgpt_user_id", "plan_type", "aud"), str),
    **dict.fromkeys(("iat", "exp"), (int, float)),
    "chatgpt_account_is_fedramp": bool,
}
_LEEWAY = 60.0  # seconds, as Codex


def read_api_key(content: bytes) -> str:
    """Return the API key in what was read from standard input.

    Raises:
        WrongUsage: it is empty, several lines, not ASCII, or something else than a key.
    """
    key = _one_word(content, "API key", LONGEST_KEY, _PIPE_KEY)
    if key.startswith(("eyJ", "at-")):
        raise WrongUsage(
            "That is an access token, not an API key.",
            "Use: headless-login login --with-access-token. For ChatGPT: headless-login login "
            "--paste-redirect",
        )
    if _is_placeholder(key):
        raise WrongUsage("That is not an API key: it stands in the place of one.", _PIPE_KEY)
    if any(mark in key for mark in "\"'=") or "://" in key:
        raise WrongUsage(
            "That is not an API key alone: it has quotes, `=` or `://` in it.", _PIPE_KEY
        )
    return key


# What programs print where a key is missing, and what people copy out of instructions.
_WORDS = (
    r"null|none|nil|undefined|true|false|nan|(?:your|my|the|an?|openai|api|secret|key|here|token|"
    r"example|placeholder|changeme|todo|replace|insert|paste|sk|xx+|[-_ .])*"
)


def _is_placeholder(key: str) -> bool:
    """Return whether it is a variable, a path, a mask or a word in the place of a key."""
    import re

    if re.fullmatch(_WORDS, key, re.I) or len(set(key.removeprefix("sk-"))) < 3:
        return True
    if key[0] in "$%<{[(/\\~" or key.startswith(("./", "../")) or key[-1] in ">}])":
        return True
    return "***" in key or "..." in key or "…" in key


def read_access_token(content: bytes) -> str:
    """Return the access token of Codex in what was read: `at-…`, or an agent identity (a JWT).

    Raises:
        WrongUsage: it is empty, several lines, not ASCII, or something else (codex-facts.md §11).
    """
    token = _one_word(content, "access token", LONGEST_TOKEN, _PIPE_TOKEN)
    if token.startswith("sk-"):
        raise WrongUsage(
            "That is an API key, not an access token.", "Use: headless-login login --with-api-key"
        )
    if is_personal(token):
        return token
    claims = claims_of(token)
    if claims is None:
        raise WrongUsage(
            "That is not an access token of Codex: those begin with at-, or are the JSON Web Token "
            "of an agent.",
            _PIPE_TOKEN,
        )
    if claims.get("iss") != AGENT_IDENTITY_ISSUER:
        raise WrongUsage(
            "That is the access token of a ChatGPT sign-in, which Codex does not take by itself.",
            "Sign in with ChatGPT: headless-login login",
        )
    return token


def is_personal(token: str) -> bool:
    """Return whether an access token is a personal one; else it is an agent identity."""
    return token.startswith("at-")


def _one_word(content: bytes, what: str, longest: int, hint: str) -> str:
    kind = what.rpartition(" ")[2]
    word = _decode(content).strip().strip("\ufeff").strip()
    if not word:
        raise WrongUsage(f"No {what} came from standard input.", hint)
    if len(content) > longest:
        raise WrongUsage(f"That is longer than any {what}.", hint)
    if len(word.split()) > 1:
        raise WrongUsage(f"That is more than an {what}: it has several lines or words.", hint)
    if not word.isascii() or not word.isprintable():
        raise WrongUsage(f"That is not an {what}: it has characters that no {kind} has.", hint)
    return word


def check_agent_identity(
    token: str, keys: KeySet, *, now: Callable[[], float] = time.time
) -> Claims:
    """Return the claims of an agent identity that its issuer has signed (codex-facts.md §11).

    Raises:
        SignInRefused: `id_token_invalid`, with what is wrong.
    """
    from headless_login.oauth.id_token import signed_claims

    claims = signed_claims(token, keys, ("RS256",))
    if claims is None:
        raise _invalid("is not signed by its issuer")
    for name, kind in _AGENT_IDENTITY_CLAIMS.items():
        if not isinstance(claims.get(name), kind):
            raise _invalid(f"lacks the claim {name}")
    if claims["aud"] != _AGENT_IDENTITY_AUDIENCE:
        raise _invalid("was issued for something else than Codex (aud)")
    if (numeric_date(claims, "exp") or 0) + _LEEWAY <= now():
        raise _invalid("has expired")
    if not isinstance(claims.get("email"), str | None):
        raise _invalid("has an e-mail address that is no text")
    if not _is_private_key(str(claims["agent_private_key"])):
        raise _invalid("holds no private key that could be used")
    return claims


def _is_private_key(encoded: str) -> bool:
    """Return whether it is the base64 of a PKCS #8 key, which Codex finds out only later."""
    from base64 import b64decode

    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        load_der_private_key(b64decode(encoded, validate=True), None)
    except Exception:  # noqa: BLE001  # whatever its parsers raise: its text is a secret
        return False
    return True


def _invalid(what: str) -> SignInRefused:
    return SignInRefused("id_token_invalid", f"The access token {what}. Nothing was written.")


def masked(key: str) -> str:
    """Return the first 8 and last 5 characters, as Codex shows a key; of a short one nothing."""
    return f"{key[:8]}***{key[-5:]}" if len(key) > 21 else "***"


def _decode(content: bytes) -> str:
    """Decode UTF-8, or the UTF-16 that Windows' shells write, by its byte-order mark."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    return content.decode("utf-8-sig", errors="replace")
