"""Unguessable values: PKCE verifier and challenge (RFC 7636) and state (RFC 6749 §10.12)."""

from __future__ import annotations

import binascii
import hashlib
import os


def base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 §2); binascii, because base64 imports re."""
    return binascii.b2a_base64(data, newline=False).decode().translate(_URL_SAFE).rstrip("=")


_URL_SAFE = str.maketrans("+/", "-_")


def new_verifier() -> str:
    """Return 64 random bytes in base64url, 86 characters, as Codex does (RFC 7636 §4.1)."""
    return base64url(os.urandom(64))


def challenge_of(verifier: str) -> str:
    """Return the S256 code challenge of a verifier (RFC 7636 §4.2)."""
    return base64url(hashlib.sha256(verifier.encode("ascii")).digest())


def new_state() -> str:
    """Return 128 random bits in base64url, 22 characters.

    RFC 6749 §10.10 asks that guessing succeed with a chance of at most 2^-128, and an attempt
    lives minutes; the 21 characters that Codex's 256 bits would add cost the QR code a version.
    """
    return base64url(os.urandom(16))
