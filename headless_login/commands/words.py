"""The words of a sign-in: what is said around the address, to a person and to a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headless_login.errors import WrongUsage
from headless_login.oauth.text import printable
from headless_login.oauth.values import DeviceCode
from headless_login.terminal.output import Events, Output, utc
from headless_login.terminal.place import Place

if TYPE_CHECKING:
    from headless_login.oauth.attempt import Attempt
    from headless_login.oauth.identity import Identity
    from headless_login.signin import SignedIn

OPEN_ANYWHERE = "Open this address on any device that has a browser, and sign in:"
OPEN_HERE = "Open this address in your browser, and sign in:"
COPY_IT = "copy the whole address from the address bar and paste it here."
WILL_FAIL = f"Then the page will fail to load. That is expected: {COPY_IT}"
MAY_FAIL = "The page may fail to load. That is expected: paste its whole address here."
BY_PIPE = (
    "Then the page will fail to load. That is expected: write its whole address to the standard "
    "input of this command. If nothing can: headless-login login start"
)
NOWHERE_TO_PASTE = (
    "There is no terminal to paste into, so the browser has to reach this machine. If it cannot: "
    "headless-login login start"
)
OPENED = "A browser was opened here; if you see none, open the address yourself."
ONLY_YOURSELF = (
    "Go on only if you started this yourself, and give nobody the address it ends at: it signs in "
    "as you."
)
BY_PHONE = (
    "From a phone: by a shared clipboard, a message to yourself, or ssh. Shorter: --device-auth"
)
# Around a one-time code.
OPEN_PAGE = "Open this page on any device and sign in:"
TYPE_CODE = "Type this one-time code there, valid for {}:"
CODE_ONLY_YOURSELF = "Continue only if you started this sign-in yourself; codes are phished."
SWITCHED_OFF = "Switched off? ChatGPT Settings, Security. Or Ctrl-C and login --paste-redirect."

# For the caller of `login start`, who is not the person.
SEND_ADDRESS = (
    "Send this address, whole, to the person who signs in. Their browser then ends at an error "
    "page (such as: This site can't be reached). That is expected: ask for the whole address of "
    "that page. It begins with {}?code="
)
ONLY_ON_REQUEST = (
    "Only for a person who asked for this: what comes back signs this machine in as them."
)
THEN_RUN = "Then run this, within {}, with what came back in place of ADDRESS:"
TELL_THEM = "Tell them: go on only if you asked for this; never type a code sent unasked."
START_SWITCHED_OFF = (
    "Where that page refuses codes: ChatGPT Settings, Security. Or: headless-login login start"
)
SEND_CODE = "Send both to the person; when they are done, run this (exit code 5: not yet):"

NO_QR_HERE = "No QR code: it needs a terminal that shows colours."
NO_QR_FOR_THIS = "No QR code: the address is too long for one."


def explanations(*, listening: bool, can_paste: bool, opened: bool, by_phone: bool) -> list[str]:
    """Return what comes next, in whole sentences."""
    if not listening and not can_paste:
        return [BY_PIPE, ONLY_YOURSELF]
    if listening and not can_paste:
        return [*([OPENED] if opened else []), NOWHERE_TO_PASTE, ONLY_YOURSELF]
    if opened:
        return [OPENED, MAY_FAIL, ONLY_YOURSELF]
    ends_at = MAY_FAIL if listening else WILL_FAIL
    return [ends_at, *([BY_PHONE] if by_phone else []), ONLY_YOURSELF]


def too_small(needed: tuple[int, int], present: tuple[int, int], place: Place) -> str:
    """Return why there is no QR code, and the two best ways out."""
    sizes = f"needs {needed[0]}x{needed[1]}, has {present[0]}x{present[1]}"
    enlarge = "enlarge the pane" if place.multiplexer else "zoom out (Ctrl -)"
    return f"QR code: {sizes}; {enlarge}, or try --device-auth"


def wide(bind: str, port: int) -> str:
    """Return the warning about an address that other machines can reach."""
    return (
        f"Warning: listening on {bind}, where other machines may reach it. Publish the port for "
        f"this machine only: docker run -p 127.0.0.1:{port}:{port}"
    )


def announce(events: Events, attempt: Attempt, **more: object) -> None:
    """Tell a program the address to open, or the page and the code to be typed there."""
    if not events.wanted:
        return
    more |= {"expires_at": utc(attempt.expires_at), "issuer": attempt.provider.issuer}
    if isinstance(code := attempt.awaits, DeviceCode):
        events.emit(
            "device_code",
            verification_uri=code.verification_uri,
            user_code=code.user_code,
            interval=code.interval,
            **more,
        )
    else:
        events.emit("authorize", url=attempt.url, redirect_uri=code.redirect_uri, **more)


def tell_signed_in(output: Output, signed_in: SignedIn) -> None:
    """Say who is signed in now and where that is stored, to the person and to a program."""
    identity, expires_at = signed_in.identity, signed_in.access_token_expires_at
    plan = f" ({printable(identity.plan, 30)} plan)" if identity.plan else ""
    account = "without an account id"
    if identity.account_id is not None:
        account = f"account {printable(identity.account_id, 60)}"
    output.say(
        f"Signed in to Codex as {identity.name}{plan}, {account}.",
        f"Saved in {signed_in.auth_file}; {used_from_now_on(signed_in.steps_before_use)}",
    )
    if identity.account_id is None and expires_at is not None:
        output.say(
            f"Note: Codex cannot renew a sign-in without an account id; it works until "
            f"{utc(expires_at)}."
        )
    announce_signed_in(output.events, signed_in.auth_file, identity, expires_at)


def announce_signed_in(
    events: Events, auth_file: str, identity: Identity, expires_at: float | None = None
) -> None:
    """Tell a program who is signed in; an API key names nobody. Seconds since the epoch."""
    events.emit(
        "signed_in",
        auth_file=auth_file,
        target=None,
        email=identity.email,
        account_id=identity.account_id,
        plan=identity.plan,
        access_token_expires_at=None if expires_at is None else utc(expires_at),
    )


def used_from_now_on(steps: Sequence[str]) -> str:
    """Return from when on Codex uses what was stored: at once, or after some steps."""
    if not steps:
        return "codex uses it from now on."
    return f"before codex uses it: {'; '.join(step.removesuffix('.') for step in steps)}"


class WithoutInput(WrongUsage):
    """Nothing can be pasted into this process; `finish` is the command that takes it later."""

    def __init__(self, finish: str = "") -> None:
        """`finish` is the command, if the attempt was kept for it."""
        start = "headless-login login start"
        super().__init__(
            "There is no terminal and no input, so nothing can be pasted here.",
            f"The sign-in stays pending: echo 'ADDRESS' | {finish} (Next time: {start})"
            if finish
            else f"Sign in by two calls: {start}, and then headless-login login finish",
        )
