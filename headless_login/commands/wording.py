"""What a sign-in puts on the screen: the address first, the code below it, the question last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headless_login.commands.advice import tunnel_advice
from headless_login.oauth.printable import printable
from headless_login.oauth.request import AuthorizationRequest
from headless_login.terminal.console import Console
from headless_login.terminal.place import Place

if TYPE_CHECKING:
    from headless_login.signin import SignedIn

OPEN_ANYWHERE = "Open this address on any device that has a browser, and sign in:"
OPEN_HERE = "Open this address in your browser, and sign in:"
COPY_IT = "copy the whole address from the address bar and paste it here."
WILL_FAIL = f"Then the page will fail to load. That is expected: {COPY_IT}"
MAY_FAIL = "The page may fail to load. That is expected: paste its whole address here."
NOWHERE_TO_PASTE = (
    "There is no terminal to paste into, so the browser has to reach this machine. If it cannot: "
    "headless-login login --paste-redirect"
)
OPENED = "A browser was opened here; if you see none, open the address yourself."
ONLY_YOURSELF = (
    "Go on only if you started this yourself, and give nobody the address it ends at: it signs in "
    "as you."
)


@dataclass(frozen=True, slots=True)
class Scene:
    """What the words depend on; without a port, nothing but a paste can end the sign-in."""

    place: Place
    port: int | None = None
    bind: str | None = None
    qr: str = "auto"
    can_paste: bool = True


def show_address(console: Console, request: AuthorizationRequest, scene: Scene) -> None:
    """Write the address alone, in one unbroken run, whatever the width."""
    if scene.port is not None and is_wide(scene.bind):
        console.say(
            f"Warning: listening on {scene.bind}, where other machines may reach it. Publish the "
            f"port for this machine only: docker run -p 127.0.0.1:{scene.port}:{scene.port}"
        )
    text = "\n".join(console.wrapped(_introduction(scene)))
    console.write(f"{text}\n{request.url}\n")


def show_way(
    console: Console, request: AuthorizationRequest, scene: Scene, *, opened: bool
) -> None:
    """Show the code for a phone, and say what comes next; `opened` tells of a browser here."""
    after = [line for text in _explanations(scene, opened) for line in console.wrapped(text)]
    advice = tunnel_advice(scene.place, scene.port, scene.bind) if scene.port else []
    after += advice  # not wrapped: a command has to be copied whole
    beside = "\n".join(
        [*console.wrapped(_introduction(scene)), request.url, *after, "the question"]
    )
    qr = "never" if opened and scene.qr == "auto" else scene.qr
    drawn = _show_qr(console, request.url, qr, console.rows_of(beside))
    console.write("\n".join([*after, ""] if drawn else ["", *after, "", ""]))


def is_wide(bind: str | None) -> bool:
    """Tell whether an address to listen on can be reached from other machines."""
    return bind is not None and not bind.startswith(("127.", "::1"))


def _introduction(scene: Scene) -> str:
    return OPEN_ANYWHERE if scene.port is None or scene.place.is_remote else OPEN_HERE


def _explanations(scene: Scene, opened: bool) -> list[str]:
    if not scene.can_paste and scene.port is not None:
        return [*([OPENED] if opened else []), NOWHERE_TO_PASTE, ONLY_YOURSELF]
    if opened:
        return [OPENED, MAY_FAIL, ONLY_YOURSELF]
    return [WILL_FAIL if scene.port is None else MAY_FAIL, ONLY_YOURSELF]


def show_signed_in(console: Console, signed_in: SignedIn) -> None:
    """Say who is signed in now, and where that is kept."""
    identity = signed_in.identity
    who = printable(identity.email or "an account without an e-mail address", 100)
    plan = f" ({printable(identity.plan, 30)} plan)" if identity.plan else ""
    console.say(
        f"Signed in to Codex as {who}{plan}, account {printable(identity.account_id, 60)}.",
        f"Saved in {signed_in.auth_file}; codex uses it from now on.",
    )


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
