"""`login --device-auth`: a short address and a short code, nothing to be carried back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from headless_login.commands.qr_file import write_qr_file
from headless_login.flows.device import win_by_device_code
from headless_login.issuer.client import EXCHANGE_TIMEOUT, IssuerClient
from headless_login.oauth.values import DeviceCode, Grant, Tokens
from headless_login.terminal.countdown import WaitingLine
from headless_login.terminal.letters import large
from headless_login.terminal.output import Console, Events, utc

OPEN_PAGE = "Open this page on any device and sign in:"
TYPE_CODE = "Type this one-time code there, valid for {}:"
ONLY_YOURSELF = "Continue only if you started this sign-in yourself; codes are phished."
SWITCHED_OFF = "Switched off? ChatGPT Settings, Security. Or Ctrl-C and login --paste-redirect."
_BESIDE = 2  # columns between the QR code and the letters


def win_by_device(
    console: Console,
    client: IssuerClient,
    left: Callable[[], float],
    qr: str,
    *,
    qr_file: str | None = None,
    announce: Callable[[DeviceCode], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Grant | Tokens:
    """Ask for a code, show it, and wait for its person; `left` returns the seconds that are left.

    `announce` is told the code.

    Raises:
        SignInRefused: `device_auth_disabled` or `access_denied`.
        TimedOut: `device_code_expired`.
        IssuerTrouble: the issuer gave no usable answer.
        LocalTrouble: the picture file cannot be written.
    """
    code = client.request_device_code(timeout=min(EXCHANGE_TIMEOUT, left()))
    code = replace(code, expires_in=min(code.expires_in, left()))
    announce(code)
    show_code(console, code, qr)
    if qr_file is not None:
        console.say(f"The QR code is in {write_qr_file(code.verification_uri, qr_file)}")
    return wait_for_approval(console, client, code, clock=clock, sleep=sleep)


def announce_code(events: Events, code: DeviceCode, **more: object) -> None:
    """Tell a program the page and the code to be typed there."""
    events.emit(
        "device_code",
        verification_uri=code.verification_uri,
        user_code=code.user_code,
        interval=code.interval,
        expires_at=utc(time.time() + code.expires_in),
        **more,
    )


def wait_for_approval(
    console: Console,
    client: IssuerClient,
    code: DeviceCode,
    *,
    first_pause: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Grant | Tokens:
    """Ask the issuer again and again, with the time that is left on the screen.

    Raises:
        SignInRefused: `access_denied`.
        TimedOut: `device_code_expired`.
        IssuerTrouble: the issuer gave no usable answer.
    """
    deadline = clock() + code.expires_in
    line = WaitingLine(console, "Waiting for you to approve there,", lambda: deadline - clock())
    told: set[str] = set()

    def live_sleep(seconds: float) -> None:
        until = clock() + seconds
        while (rest := until - clock()) > 0:
            line.tick()
            sleep(min(1.0, rest))

    def tell(message: str) -> None:
        """Say each trouble once; it is asked again all the same."""
        if message not in told:
            told.add(message)
            line.say_above(lambda: console.say(f"{message} Asking again."))

    try:
        return win_by_device_code(
            code,
            lambda rest: client.poll_device_code(code, timeout=min(EXCHANGE_TIMEOUT, rest)),
            first_pause=first_pause,
            clock=clock,
            sleep=live_sleep,
            on_trouble=lambda trouble: tell(trouble.message),
        )
    finally:
        line.clear()


def show_code(
    console: Console,
    code: DeviceCode,
    qr: str,
    *,
    advice: Sequence[str] = (ONLY_YOURSELF, SWITCHED_OFF),
    command: str = "",
) -> None:
    """Show page and code, each alone on its line, and the QR code of the page; then the advice.

    A `command` stands below it, whole.
    """
    minutes = max(1, round(code.expires_in / 60))
    valid = f"{minutes} minute{'s' if minutes > 1 else ''}"
    head = f"{OPEN_PAGE}\n{code.verification_uri}\n{TYPE_CODE.format(valid)}\n{code.user_code}\n"
    after = [line for text in advice for line in console.wrapped(text)]
    after += [command] if command else []
    drawn = _drawn(console, code, qr, console.rows_of(head) + len(after) + 1)
    console.write("".join([head, *(f"{line}\n" for line in [*drawn, *after])]))


def _drawn(console: Console, code: DeviceCode, qr: str, other_rows: int) -> list[str]:
    """Return the QR code with the large letters beside it, or whatever of both fits."""
    if console.is_dumb:
        return []
    from headless_login.terminal.qr.capabilities import look_at
    from headless_login.terminal.qr.drawing import choose, forced
    from headless_login.terminal.qr.matrix import matrix_of

    look = look_at(console, colours_asked=qr == "always")._replace(protocol=None)
    letters = _letters(code.user_code) if look.blocks != "no" else []
    matrix = None if qr == "never" else matrix_of(code.verification_uri)
    rows = look.rows - other_rows
    drawing = None if matrix is None else choose(matrix, look, rows)
    if drawing is None and matrix is not None and qr == "always":
        drawing = forced(matrix, look)
    if drawing is None:
        return large(code.user_code) if len(letters) <= rows else []
    lines = drawing.draw().splitlines()
    if drawing.columns + _BESIDE + max(map(len, letters), default=0) > look.columns:
        return lines
    beside = [""] * ((len(lines) - len(letters)) // 2) + letters
    beside += [""] * (len(lines) - len(beside))
    return [f"{line}{' ' * _BESIDE}{text}".rstrip() for line, text in zip(lines, beside)]  # noqa: B905


def _letters(user_code: str) -> list[str]:
    """Return the code in large letters, its two halves one above the other."""
    first, hyphen, second = user_code.partition("-")
    lower = large(second) if second else []
    return [*large(first + hyphen), *([""] if lower else []), *lower]
