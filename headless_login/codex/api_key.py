"""Whether a text is an API key, before it is stored as one."""

from __future__ import annotations

import codecs

from headless_login.errors import WrongUsage

_LONGEST = 4096  # bytes
_PIPE = "Pipe it in: printenv OPENAI_API_KEY | headless-login login --with-api-key"


def read_api_key(content: bytes) -> str:
    """Return the API key in what was read from standard input.

    Raises:
        WrongUsage: it is empty, several lines, not ASCII, or something else than a key.
    """
    key = _decode(content).strip().strip("\ufeff").strip()
    if not key:
        raise WrongUsage("No API key came from standard input.", _PIPE)
    if len(content) > _LONGEST:
        raise WrongUsage("That is longer than any API key.", _PIPE)
    if len(key.split()) > 1:
        raise WrongUsage("That is more than an API key: it has several lines or words.", _PIPE)
    if not key.isascii() or not key.isprintable():
        raise WrongUsage("That is not an API key: it has characters that no key has.", _PIPE)
    if key.startswith(("eyJ", "at-")):
        raise WrongUsage(
            "That is an access token, not an API key.",
            "To sign in with ChatGPT, use: headless-login login --paste-redirect",
        )
    if any(mark in key for mark in "\"'=") or "://" in key:
        raise WrongUsage("That is not an API key alone: it has quotes, `=` or `://` in it.", _PIPE)
    return key


def masked(key: str) -> str:
    """Return the first 8 and last 5 characters, as Codex shows a key; of a short one nothing."""
    return f"{key[:8]}***{key[-5:]}" if len(key) > 21 else "***"


def _decode(content: bytes) -> str:
    """Decode UTF-8, or the UTF-16 that Windows' shells write, by its byte-order mark."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    return content.decode("utf-8-sig", errors="replace")
