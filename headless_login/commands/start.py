"""`login start`: the first half of a sign-in; `login finish` completes it in another process."""

from __future__ import annotations

from headless_login.codex.pending.record import identifier
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

_ROOMY = 42  # rows for a code, the QR code of its page, and an address
_SCALE = 4  # pixels of a module's side: enough for a phone's camera, and a third of the text


def start(options: Options, context: Context) -> None:
    """Begin an attempt, keep it, and print how it goes on.

    Raises:
        HeadlessLoginError: there is none.
    """
    rules = options.destination.check(context.say)
    code = _begin_code(options, context) if options.device else None
    # After the code, so that it does not end before it.
    port = options.port or LOOPBACK_PORTS[0]
    lifetime, expect = options.timeout, options.expect
    attempt = begin(options.provider, rules, port=port, lifetime=lifetime, expect=expect)
    address: Attempt | None = options.marked(attempt)
    if code is not None and not _has_room_for_both(context):
        address = None
    shown = code or options.marked(attempt)
    # Kept before they can be answered; the code last, as the newest.
    picture = write_qr_file(shown.url, options.qr_file) if options.qr_file else ""
    if address is not None:
        PendingAttempts.keep(options.home, address)
    if code is not None:
        beside = identifier(address) if address else ""
        PendingAttempts.keep(options.home, code._replace(beside=beside))
    if picture:
        context.say(f"The QR code is in {picture}")
    _show(shown, address, options, context)


def _begin_code(options: Options, context: Context) -> Attempt:
    client = context.client(options.provider)
    lifetime, expect = options.timeout, options.expect
    try:
        code = begin(options.provider, device=True, lifetime=lifetime, client=client, expect=expect)
    except SignInRefused as refused:
        hint = f"{refused.hint} Or: headless-login login start"
        raise SignInRefused(refused.error, refused.message, hint) from None
    context.say(*filter(None, [client.clock_trouble]))
    return options.marked(code)


def _has_room_for_both(context: Context) -> bool:
    """Return whether a code and an address can be read together; a program reads everything."""
    answer = context.output.answer
    return context.output.events.wanted or not answer.is_terminal or answer.size[1] >= _ROOMY


def _show(shown: Attempt, address: Attempt | None, options: Options, context: Context) -> None:
    """Show an address, or a one-time code and the address of the same sign-in, if there is one."""
    events = context.output.events
    if events.wanted:
        more: dict[str, object] = {**_picture(shown.url, options.qr)}
        if shown.user_code and address is not None:
            more["address"] = words.fields_of(address)
        last = [] if shown.user_code else ["-"]
        command = own_arguments(options.home, context.environ, "login", "finish", *last)
        words.announce(events, shown, finish=command, **more)
    elif shown.user_code is None:
        _show_address(shown, options, context)
    else:
        _show_code(shown, address, options, context)


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


def _show_code(
    attempt: Attempt, address: Attempt | None, options: Options, context: Context
) -> None:
    from headless_login.commands.command_line import own_command
    from headless_login.commands.device import show_code

    show_code(
        context.output.answer,
        attempt,
        options.qr,
        advice=(words.TELL_THEM, *([] if address else [words.START_SWITCHED_OFF])),
        address=(words.START_ADDRESS, address.url) if address else (),
        run=words.SEND_CODE,
        command=own_command(options.home, context.environ, "login", "finish", "--no-wait"),
    )


def _picture(address: str, qr: str) -> dict[str, str]:
    """Return the QR code as a PNG that fits into a line, unless none is wanted or possible."""
    from base64 import b64encode

    from headless_login.terminal.qr.matrix import matrix_of
    from headless_login.terminal.qr.pictures import png

    matrix = None if qr == "never" else matrix_of(address)
    return {} if matrix is None else {"qr_png_base64": b64encode(png(matrix, _SCALE)).decode()}
