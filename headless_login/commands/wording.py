"""What a sign-in puts on the screen: the address first, the code below it, the question last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headless_login.oauth.printable import printable
from headless_login.oauth.request import AuthorizationRequest
from headless_login.terminal.console import Console

if TYPE_CHECKING:
    from headless_login.signin import SignedIn

OPEN_ANYWHERE = "Open this address on any device that has a browser, and sign in:"
WILL_FAIL = (
    "Then the page will fail to load. That is expected: copy the whole address from the address "
    "bar and paste it here."
)
ONLY_YOURSELF = (
    "Continue only if you started this sign-in yourself, and never give the address it ends at "
    "to anybody else: it signs in as you."
)


def show_for_paste(console: Console, request: AuthorizationRequest, qr: str) -> None:
    """Show how to sign in elsewhere and what to bring back."""
    _show_address(console, OPEN_ANYWHERE, request.url)
    after = [line for text in (WILL_FAIL, ONLY_YOURSELF) for line in console.wrapped(text)]
    beside = "\n".join([*console.wrapped(OPEN_ANYWHERE), request.url, *after, "the question"])
    if _show_qr(console, request.url, qr, console.rows_of(beside)):
        console.write("\n".join(after) + "\n")
    else:
        console.write("\n".join(["", *after, "", ""]))


def show_for_loopback(
    console: Console, request: AuthorizationRequest, port: int, bind: str | None
) -> None:
    """Show how to sign in with a browser that reaches this machine's port."""
    if bind is not None and not bind.startswith(("127.", "::1")):
        console.say(
            f"Warning: listening on {bind}, where other machines may reach it. Publish the port "
            f"for this machine only: docker run -p 127.0.0.1:{port}:{port}"
        )
    _show_address(
        console,
        f"Open this address in a browser on this machine, or on one that tunnels port {port} "
        "to it, and sign in:",
        request.url,
    )
    console.say(
        "",
        "Continue only if you started this sign-in yourself.",
        "No tunnel? Press Ctrl-C and use: headless-login login --paste-redirect",
    )


def show_signed_in(console: Console, signed_in: SignedIn) -> None:
    """Say who is signed in now, and where that is kept."""
    identity = signed_in.identity
    who = printable(identity.email or "an account without an e-mail address", 100)
    plan = f" ({printable(identity.plan, 30)} plan)" if identity.plan else ""
    console.say(
        f"Signed in to Codex as {who}{plan}, account {printable(identity.account_id, 60)}.",
        f"Saved in {signed_in.auth_file}; codex uses it from now on.",
    )


def _show_address(console: Console, introduction: str, url: str) -> None:
    """Write the address alone, in one unbroken run, whatever the width."""
    text = "\n".join(console.wrapped(introduction))
    console.write(f"{text}\n{url}\n")


def _show_qr(console: Console, url: str, mode: str, other_rows: int) -> bool:
    """Draw the code where everything fits on the screen together, else say why not."""
    if mode == "never":
        return False
    if console.is_dumb:
        console.say("", "(No QR code: it needs a terminal that shows colours.)")
        return False
    from headless_login.terminal.qr import half_blocks, matrix_of

    matrix = matrix_of(url)
    if matrix is None:
        console.say("", "(No QR code: the address is too long for one.)")
        return False
    lines = half_blocks(matrix)
    width, height = 2 * len(lines) - 1, len(lines) + other_rows
    columns, rows = console.size
    if mode == "always" or (columns >= width and rows >= height):
        console.write("\n".join(lines) + "\n")
        return True
    console.say(
        "",
        f"(A QR code needs a terminal of {width} by {height}; this one is {columns} by {rows}. "
        "Enlarge it or zoom out with Ctrl and minus, and start again.)",
    )
    return False
