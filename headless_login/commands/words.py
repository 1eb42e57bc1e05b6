"""The words of a sign-in: what is said around the address, to a person and to a program."""

from __future__ import annotations

from collections.abc import Sequence

from headless_login.errors import HeadlessLoginError, WrongUsage
from headless_login.oauth.text import one_line, printable
from headless_login.oauth.values import DeviceCode
from headless_login.terminal.output import Events, Output, utc
from headless_login.terminal.place import Place
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from headless_login.oauth.attempt import Attempt
    from headless_login.oauth.identity import Identity
    from headless_login.signin import SignedIn

OPEN_ANYWHERE = "Open this address on any device that has a browser, and sign in:"
OPEN_HERE = "Open this address in your browser, and sign in:"
COPY_IT = "copy the whole address from the address bar and paste it here."
WILL_FAIL = f"Then the page will fail to load. That is expected: {COPY_IT}"
MAY_FAIL = f"Then the page may fail to load. That is expected: {COPY_IT}"
BY_PIPE = (
    "Then the page {} fail to load. That is expected: copy its whole address from the address bar, "
    "and paste or write it, with a line break, into the standard input of this command. If nothing "
    "can: headless-login login start"
)
NOWHERE_TO_PASTE = (
    "There is no terminal to paste into: this waits for the browser. If that ends at a page that "
    "fails to load, copy the whole address from the address bar, and give it to this command on "
    "its standard input:"
)
OPENED = "A browser was opened here; if you see none, open the address yourself."
ONLY_YOURSELF = (
    "Go on only if you started this yourself, and give nobody the address of that page: it signs "
    "in as you."
)
# In place of both where the screen is small.
BRIEFLY = (
    "Even if the page fails to load: copy its whole address and paste it here. Only if you started "
    "this yourself: it signs in as you."
)
NO_MORE_ASKED = (
    "Nothing more is asked here; this waits for {}. The address of the page that fails to load is "
    "taken by:"
)
KEYS = (
    "While nothing is typed: c copies the address to your clipboard, a shows it, d asks for a "
    "one-time code as well or shows it again, q shows or hides the QR code. Ctrl-D stops asking "
    "here; Ctrl-C ends the sign-in."
)
COPIED = "The address was sent to your clipboard, which the terminal may have refused."
CANNOT_COPY = "This terminal cannot copy: select the address above."
BY_PHONE = (
    "From a phone: by a shared clipboard, a message to yourself, or ssh. Shorter: --device-auth"
)
NO_PASTING = "Where nothing can be pasted, a phone on the same network can bring it back: --phone"
# Around a one-time code.
OPEN_PAGE = "Open this page on any device and sign in:"
TYPE_CODE = "Type this one-time code there, valid for {}:"
CODE_ONLY_YOURSELF = "Continue only if you started this sign-in yourself; codes are phished."
SWITCHED_OFF = "Switched off? ChatGPT Settings, Security. Or Ctrl-C and login --paste-redirect."

# In place of it where keys are heard: one row of 80 columns.
SWITCHED_OFF_HERE = "If the page says codes are switched off, press a (or see Settings, Security)."
ASKING_FOR_CODE = "Asking for a one-time code…"

# For the caller of `login start`, who is not the person.
SEND_ADDRESS = (
    "Send this address, whole, to the person who signs in. Their browser then ends at an error "
    "page (such as: This site can't be reached). That is expected: ask for the whole address of "
    "that page. It begins with {}?code="
)
ONLY_ON_REQUEST = (
    "Only for a person who asked for this: what comes back signs this machine in as them."
)
THEN_RUN = "Then run this, within {}, and give it what came back on its standard input:"
STILL_WAITING = "This sign-in goes on waiting."
TELL_THEM = "Tell them: go on only if you asked for this; never type a code sent unasked."
START_ADDRESS = (
    "If the page says codes are switched off, send this address instead; what it ends at is taken "
    "by `login finish -`, on its standard input:"
)
START_SWITCHED_OFF = (
    "Where that page refuses codes: ChatGPT Settings, Security. Or: headless-login login start"
)
SEND_CODE = "Send both to the person; when they are done, run this (exit code 5: not yet):"

# With a phone's page.
PHONE_PAGE = "Scan it with a phone on the same network, or open there:"
PHONE_PAGE_ALONE = "Or open this page on a phone, or any device on the same network:"
PHONE_LEADS = "It leads to the sign-in, and takes the address that it ends at."
PHONE_CONFIRMED = "Then you are asked here who has signed in."
OR_PASTE = (
    "Or open the address above on any device. If its last page fails to load, paste the address of "
    "that page here."
)
PHONE_IS_OPEN = (
    "Warning: --phone is plain HTTP: whoever listens on this network can open the page, too. "
    "Confirm nobody but yourself."
)
CONFIRM, CONFIRM_THAT = "Sign in {} as {}? [y/N] ", "Sign in {} so? [y/N] "
CAME_BY_PAGE = "By the phone's page has signed in:"
WRONG_ON_PAGE = "A wrong answer on the phone's page:"

NO_QR_HERE = "No QR code: it needs a terminal that shows colours."
NO_ROOM_FOR_QR = "No QR code: enlarge the window, or zoom out (Ctrl -)."
NO_QR_FOR_THIS = "No QR code: the address is too long for one."


def paste_label(columns: int) -> str:
    """Return the question for an answer; a short one for a terminal on a phone."""
    return "Paste the whole address here: " if columns >= 50 else "Paste the address: "


def code_label(columns: int) -> str:
    """Return the question while nothing but a one-time code was shown."""
    return "Waiting for you to approve there: " if columns >= 50 else "Waiting for you: "


def awaited(*, browser: bool, phone: bool, code: bool) -> str:
    """Return what is waited for where nothing is asked."""
    named = ["the browser"] * browser + ["the phone"] * phone + ["you to approve there"] * code
    return " or ".join(named)


def goes_on_without(code_ended: HeadlessLoginError, *, can_ask: bool) -> str:
    """Return that a one-time code has ended, or is not to be had, and nothing else with it.

    `can_ask`: a key asks for another one.
    """
    can_ask = can_ask and code_ended.error != "device_auth_disabled"
    more = " (d: another one)" if can_ask else ""
    return f"{code_ended.message.rstrip('.')}; this sign-in goes on without a code{more}."


def explanations(
    *, listening: bool, can_paste: bool, by_finish: bool, opened: bool, by_phone: bool, brief: bool
) -> list[str]:
    """Return what comes next, in whole sentences; with `by_finish` a command has to follow."""
    first = [OPENED] if opened else []
    if by_finish:
        return [*first, ONLY_YOURSELF, NOWHERE_TO_PASTE]
    if not can_paste:
        return [*first, BY_PIPE.format("may" if listening else "will"), ONLY_YOURSELF]
    if brief:
        return [*first, BRIEFLY]
    ends_at = MAY_FAIL if listening else WILL_FAIL
    return [*first, ends_at, *([BY_PHONE] if by_phone and not opened else []), ONLY_YOURSELF]


def whole_name(identity: Identity) -> str:
    """Return who has signed in, uncut and without letters that only look like others.

    Elsewhere what is long is cut, behind which a stranger's name could hide.
    """
    name = identity.email or f"account {identity.account_id or identity.user_id}"
    return one_line(name).encode("ascii", "backslashreplace").decode()[:400]


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


def duration(seconds: float) -> str:
    """Return a time in words: `1 second`, `90 seconds`, `15 minutes`."""
    if seconds >= 120:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds:.0f} seconds" if seconds >= 1.5 else "1 second"


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
        events.emit("authorize", **fields_of(attempt), **more)


def announce_page(events: Events, attempt: Attempt, phone: str) -> None:
    """Tell a program the address of an attempt's page for a phone, if there is one."""
    if phone and events.wanted:
        events.emit("phone_page", url=phone, expires_at=utc(attempt.expires_at))


def fields_of(attempt: Attempt) -> dict[str, object]:
    """Return what a program is told of an address: itself, and where it ends."""
    return {"url": attempt.url, "redirect_uri": attempt.request.redirect_uri}


def tell_signed_in(output: Output, signed_in: SignedIn) -> None:
    """Say who is signed in now and where that is stored, to the person and to a program."""
    identity, expires_at = signed_in.identity, signed_in.access_token_expires_at
    plan = f" ({printable(identity.plan, 30)} plan)" if identity.plan else ""
    account = "without an account id"
    if identity.account_id is not None:
        account = f"account {printable(identity.account_id, 60)}"
    place = place_of(signed_in.auth_file, signed_in.target)
    output.say(
        f"Signed in to Codex as {identity.name}{plan}, {account}.",
        f"Saved in {place}; {used_from_now_on(signed_in.steps_before_use)}",
    )
    if identity.account_id is None and expires_at is not None:
        output.say(
            f"Note: Codex cannot renew a sign-in without an account id; it works until "
            f"{utc(expires_at)}."
        )
    target = signed_in.target
    announce_signed_in(output.events, signed_in.auth_file, identity, target, expires_at)


def place_of(auth_file: str, target: str) -> str:
    """Return where a sign-in was stored: here, or on another machine."""
    return f"{auth_file} on {target}" if target else auth_file


def announce_signed_in(
    events: Events,
    auth_file: str,
    identity: Identity,
    target: str = "",
    expires_at: float | None = None,
) -> None:
    """Tell a program who is signed in; an API key names nobody. Seconds since the epoch."""
    events.emit(
        "signed_in",
        auth_file=auth_file,
        target=target or None,
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
    """Nothing can be pasted into this process, or nothing more will be."""

    def __init__(self, *, ended: bool = False) -> None:
        """`ended` tells that there was a terminal, and Ctrl-D pressed."""
        super().__init__(
            "Nothing was pasted, and nothing else can end this sign-in here."
            if ended
            else "There is no terminal and no input, so nothing can be pasted here.",
            "To be asked again, run the same command."
            if ended
            else "Without a terminal: headless-login login start, and then login finish.",
        )
