"""Foreign text made fit to be shown: no control characters, no endless lines, no tokens."""

from __future__ import annotations

import os
import sys

# No word of a human language is this long; codes, verifiers and tokens are.
_LONGEST_WORD = 39  # letters
_TOKEN_LIKE = r"(?<![A-Za-z0-9_\-.+/=~%])[A-Za-z0-9_\-.+/=~%]{40,}"  # noqa: S105  # nosec B105


def printable(text: object, limit: int = 240) -> str:
    """Return foreign text on one line, without control characters or anything like a token."""
    shown = str(text)
    if len(shown) > _LONGEST_WORD:  # tokens first: one that is cut in two is no longer recognised
        import re

        shown = re.sub(_TOKEN_LIKE, "…", shown)[: limit * 8]
    shown = " ".join("".join(c if c.isprintable() else " " for c in shown).split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def is_one_word(text: object) -> bool:
    """Return whether it can be a token in a header or on a line (RFC 6750 §2.1): visible ASCII."""
    if not isinstance(text, str) or not text or " " in text:
        return False
    return text.isascii() and text.isprintable()


def one_line(text: str) -> str:
    """Return a path or a name without the characters that would break a line."""
    return "".join(c if c.isprintable() else "?" for c in text)


_PLAIN = {*"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-"}


def shell_word(path: str, *, platform: str = sys.platform) -> str:
    """Return a path as one word of a command line that is shown, to be copied into any shell.

    What would control the terminal is left to printf(1), in octal. On Windows double quotes are
    taken by cmd.exe and PowerShell alike, and no path has any in it.
    """
    if platform == "win32":
        return path if path and (_PLAIN | {"\\", "~"}).issuperset(path) else f'"{path}"'
    if path and _PLAIN.issuperset(path):
        return path
    if path.isprintable():
        from shlex import quote

        return quote(path)
    plain = "".join(_in_octal(c) if c in "'\\%" or not c.isprintable() else c for c in path)
    return f"\"$(printf '{plain}')\""


def exported(name: str, value: str, *, platform: str = sys.platform) -> str:
    """Return the command that sets a variable of the environment.

    No one line does so in both shells of Windows.
    """
    if platform == "win32":
        quoted = value.replace("'", "''")
        return f"set \"{name}={value}\" (PowerShell: $env:{name} = '{quoted}')"
    return f"export {name}={shell_word(value, platform=platform)}"


def unset(*names: str, platform: str = sys.platform) -> str:
    """Return the command that takes variables out of the environment."""
    if platform == "win32":
        clear = " & ".join(f"set {name}=" for name in names)
        return f"{clear} (PowerShell: Remove-Item {', '.join(f'Env:{name}' for name in names)})"
    return f"unset {' '.join(names)}"


def fed(command: str, *, platform: str = sys.platform) -> str:
    """Return a command with a file as its standard input (PowerShell has no `<`)."""
    return f"type FILE | {command}" if platform == "win32" else f"{command} < FILE"


def clock_setting(*, platform: str = sys.platform) -> str:
    """Return who sets the clock of this machine, and by which command."""
    if platform == "win32":
        return "as administrator: w32tm /resync"
    command = "sntp -sS time.apple.com" if platform == "darwin" else "timedatectl set-ntp true"
    return f"as root: {command}"


def _in_octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))


def identifier(text: object) -> str:
    """Return a foreign identifier (error code, request id) or nothing if it does not look it."""
    import re

    return text if isinstance(text, str) and re.fullmatch(_IDENTIFIER, text) else ""


_IDENTIFIER = r"[A-Za-z0-9_.:\-]{1,39}"  # shorter than codes, verifiers and tokens


def error_page_details(query: str) -> str:
    """Return ` (errorCode, request …)` from the payload of auth.openai.com/error, or nothing."""
    import binascii
    import json
    import re
    from urllib.parse import unquote

    found = re.search(r"(?:^|&)payload=([^&#]*)", query)
    payload = unquote(found[1] if found else "").translate(str.maketrans("-_ ", "+/+"))
    try:
        page = json.loads(binascii.a2b_base64(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return ""
    known = page if isinstance(page, dict) else {}
    code, request_id = identifier(known.get("errorCode")), identifier(known.get("requestId"))
    told = [code] * bool(code) + [f"request {request_id}"] * bool(request_id)
    return f" ({', '.join(told)})" if told else ""
