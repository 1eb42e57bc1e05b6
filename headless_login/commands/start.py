"""`login start`: the first half of a sign-in; `login finish` completes it in another process."""

from __future__ import annotations

from headless_login.codex.pending.store import PendingAttempts
from headless_login.commands import words
from headless_login.commands.command_line import own_arguments
from headless_login.commands.context import Context, Options
from headless_login.commands.screen import Scene, Screen, write_qr_file
from headless_login.errors import SignInRefused
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.provider import LOOPBACK_PORTS
from headless_login.signin import begin
from headless_login.terminal.place import detect_place

_SCALE = 4  # pixels of a module's side: enough for a phone's camera, and a third of the text


def start(options: Options, context: Context) -> None:
    """Begin an attempt, keep it, and print how it goes on.

    Raises:
        HeadlessLoginError: there is none.
    """
    rules = options.destination.check(context.say)
    try:
        attempt = begin(
            options.provider,
            rules,
            device=options.device,
            port=options.port or LOOPBACK_PORTS[0],
            lifetime=options.timeout,
            client=context.client(options.provider) if options.device else None,
            expect=options.expect,
        )
    except SignInRefused as refused:
        hint = f"{refused.hint} Or: headless-login login start"
        raise SignInRefused(refused.error, refused.message, hint) from None
    if options.device:
        context.say(*filter(None, [context.client(options.provider).clock_trouble]))
    attempt = options.marked(attempt)
    # Kept before it can be answered.
    picture = write_qr_file(attempt.url, options.qr_file) if options.qr_file else ""
    PendingAttempts.keep(options.home, attempt)
    if picture:
        context.say(f"The QR code is in {picture}")
    _show(attempt, options, context)


def _show(attempt: Attempt, options: Options, context: Context) -> None:
    events = context.output.events
    if events.wanted:
        more = [] if attempt.user_code else ["-"]
        command = own_arguments(options.home, context.environ, "login", "finish", *more)
        words.announce(events, attempt, finish=command, **_picture(attempt.url, options.qr))
    elif attempt.user_code is None:
        _show_address(attempt, options, context)
    else:
        _show_code(attempt, options, context)


def _show_address(attempt: Attempt, options: Options, context: Context) -> None:
    from headless_login.commands.command_line import own_command

    command = own_command(options.home, context.environ, "login", "finish", "-")
    said = (
        words.SEND_ADDRESS.format(attempt.request.redirect_uri),
        words.ONLY_ON_REQUEST,
        words.THEN_RUN.format(words.duration(options.timeout)),
    )
    scene = Scene(
        detect_place(context.environ),
        qr=options.qr,
        words=said,
        command=command,
    )
    screen = Screen(context.output.answer, attempt.url, scene)
    screen.show_address()
    screen.show_way(opened=False)


def _show_code(attempt: Attempt, options: Options, context: Context) -> None:
    from headless_login.commands.command_line import own_command
    from headless_login.commands.device import show_code

    show_code(
        context.output.answer,
        attempt,
        options.qr,
        advice=(words.TELL_THEM, words.START_SWITCHED_OFF, words.SEND_CODE),
        command=own_command(options.home, context.environ, "login", "finish", "--no-wait"),
    )


def _picture(address: str, qr: str) -> dict[str, str]:
    """Return the QR code as a PNG that fits into a line, unless none is wanted or possible."""
    from base64 import b64encode

    from headless_login.terminal.qr.matrix import matrix_of
    from headless_login.terminal.qr.pictures import png

    matrix = None if qr == "never" else matrix_of(address)
    return {} if matrix is None else {"qr_png_base64": b64encode(png(matrix, _SCALE)).decode()}
