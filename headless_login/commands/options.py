"""What can be asked of `login`."""

from __future__ import annotations

from dataclasses import dataclass, field

from headless_login.oauth.provider import Provider


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked of `login`; `timeout` in seconds for the whole sign-in."""

    provider: Provider = field(default_factory=Provider)
    codex_home: str | None = None
    paste: bool = False
    browser: bool = True
    qr: str = "auto"
    timeout: float = 900.0
    port: int | None = None
    bind: str | None = None
    take_over: bool = False
    qr_file: str | None = None
    device: bool = False
