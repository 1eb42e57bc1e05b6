"""`login`: one sign-in with ChatGPT, by loopback, by paste or by a one-time code.

What is imported here at the top is all that is loaded before the address is on the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headless_login.codex.rules import Rules
from headless_login.commands.context import Context, Options
from headless_login.commands.kept import KeptAttempt
from headless_login.commands.screen import show, show_only_code
from headless_login.commands.words import WithoutInput, paste_label
from headless_login.errors import HeadlessLoginError, LocalTrouble, RejectedAnswer, SignInRefused
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.provider import LOOPBACK_PORTS
from headless_login.signin import SignedIn, begin, complete
from headless_login.terminal.input import can_be_asked, has_input, quiet_input
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import socket

    from headless_login.commands.conversation import Conversation
    from headless_login.commands.device import CodeScreen, OneTimeCode
    from headless_login.commands.phone import PhoneWay
    from headless_login.commands.screen import Screen
    from headless_login.issuer.client import IssuerClient
    from headless_login.oauth.values import Grant, Tokens

_SHORTEST_EXCHANGE = 5.0  # seconds; a code that was won is not thrown away for a late minute


def login(options: Options, context: Context) -> SignedIn:
    """Sign in, and say how it went.

    Raises:
        HeadlessLoginError: it did not come to that; nothing was written.
    """
    left = context.countdown(options.timeout)
    rules = options.destination.check(context.say)
    with quiet_input():
        begun = _begin(options, rules, context, left)
        if options.phone:
            from headless_login.commands.phone import open_page

            begun = begun._replace(phone=open_page(begun.attempt, options, context, left))
        kept = KeptAttempt(begun.attempt, options, context)
        with kept.until_answered():
            signed_in = _sign_in(_Login(options, context, rules, begun, kept, left))
    if signed_in.to_revoke is not None:
        from headless_login.commands.logout import revoke_replaced

        revoke_replaced(signed_in.to_revoke, context)
    return signed_in


class _Login(NamedTuple):
    """One sign-in: what was asked for, by which rules, what was begun; `left` returns seconds."""

    options: Options
    context: Context
    rules: Rules
    begun: _Begun
    kept: KeptAttempt
    left: Callable[[], float]


def _sign_in(one: _Login) -> SignedIn:
    """Show the attempt, wait for its answer and store what that brings."""
    options, context, _, begun, kept, _ = one
    is_shown = begun.code is None and bool(begun.sockets or begun.phone)
    if is_shown and context.person is None and not has_input():
        kept.keep()
    talk = _talk(one)
    try:
        with talk:
            while True:
                grant = talk.win()
                kept.is_answered = True
                try:
                    return _complete(grant, talk, one)
                except HeadlessLoginError as refused:
                    if not talk.goes_on_after(refused):
                        raise
                    kept.is_answered = False
    except RejectedAnswer as error:
        rejected = error
    except WithoutInput as unanswered:
        raise kept.unanswered(begun.instead_of or unanswered) from None
    return _finish_another(talk.last_answer, rejected, options, context)


def _talk(one: _Login) -> Conversation:
    """Show the attempt, and return what waits for its answer by every way."""
    options, context, _, begun, kept, left = one
    is_asked = context.person is None and can_be_asked()
    page = begun.phone.page.url if begun.phone else ""
    screen: Screen | None
    shown: CodeScreen | None = None
    if begun.code is not None:
        address = None if begun.attempt is begun.code else begun.attempt
        screen, shown = show_only_code(begun.code, address, options, context, page)
        kept.is_offered = lambda: bool(page) or address is None or _is_offered(screen, context)
    else:
        screen = show(begun.attempt, begun.listening_port, options, context, kept.command, page)
        if is_asked:
            _wait_for_sign_of_life(screen, one)
    from headless_login.commands.conversation import Conversation

    context.warm_up()
    return Conversation(
        begun.attempt,
        context,
        left,
        screen=screen,
        sockets=begun.sockets,
        kept=kept,
        code=_code(one, shown) if is_asked or begun.code else None,
        phone=begun.phone,
        asks=begun.attempt.user_code is None,
    )


def _is_offered(screen: Screen | None, context: Context) -> bool:
    """Return whether anybody knows the address beside a one-time code."""
    return context.output.events.wanted or (screen is not None and screen.is_offered)


def _code(one: _Login, shown: CodeScreen | None) -> OneTimeCode:
    """Return the one-time code that is there already, or that can be asked for."""
    from headless_login.commands.device import CodeScreen, OneTimeCode

    options, context, _, begun, kept, left = one
    if begun.code is not None and begun.code is not begun.attempt:
        kept.add(begun.code)
    console, url = context.output.console, begun.attempt.url
    return OneTimeCode(
        context,
        options.provider,
        shown or CodeScreen(console, "never", has_keys=True, beside=url),
        begin=lambda client, timeout: _begin_code(options, client, left, timeout),
        attempt=begun.code,
        on_begun=kept.add,
    )


def _wait_for_sign_of_life(screen: Screen, one: _Login) -> None:
    """Wait without what takes the answer, which is as large as all the rest."""
    from headless_login.terminal.countdown import wait_for_sign_of_life

    def draw_again() -> None:
        if (draw := screen.resized()) is not None:
            draw()

    console, sockets = one.context.output.console, [*one.begun.sockets]
    if one.begun.phone is not None:
        sockets.append(one.begun.phone.page.listening)
    wait_for_sign_of_life(console, paste_label, one.left, sockets, resized=draw_again)


def _complete(grant: Grant | Tokens, talk: Conversation, one: _Login) -> SignedIn:
    """Exchange and store; what the issuer refused of a paste from a pipe can come once more."""
    from headless_login.commands.conversation import conclude

    options, context, rules, begun, kept, left = one
    try:
        if kept.is_kept:
            return kept.complete(grant, rules, is_pasted=talk.is_pasted, confirm=talk.confirm)
        signed_in = complete(
            grant,
            begun.attempt,
            options.destination,
            rules=rules,
            client=context.client(options.provider),
            timeout=max(_SHORTEST_EXCHANGE, left()),
            say=context.say,
            confirm=talk.confirm,
        )
        return conclude(signed_in, context)
    except SignInRefused as refused:
        if refused.error == "invalid_grant" and talk.is_pasted and not talk.can_ask_again:
            raise kept.unanswered(refused) from None
        raise


class _Begun(NamedTuple):
    """An attempt, the sockets that its answer may come to, and which way was not to be had.

    `code` is a one-time code of the same sign-in; the attempt itself where nothing can be pasted.
    `phone` is the way by a page for a phone, if there is one.
    """

    attempt: Attempt
    sockets: Sequence[socket.socket] = ()
    listening_port: int | None = None
    instead_of: HeadlessLoginError | None = None
    code: Attempt | None = None
    phone: PhoneWay | None = None


def _begin_code(
    options: Options,
    client: IssuerClient,
    left: Callable[[], float],
    timeout: float | None = None,
) -> Attempt:
    """Get a one-time code, which lasts no longer than the sign-in; raises as `begin`."""
    attempt = begin(
        options.provider,
        device=True,
        lifetime=max(0.1, left()),
        client=client,
        timeout=timeout,
        expect=options.expect,
    )
    return options.marked(attempt)


def _begin(options: Options, rules: Rules, context: Context, left: Callable[[], float]) -> _Begun:
    """Begin by the way that was asked for, or by paste where that one is not to be had."""
    port = options.port or LOOPBACK_PORTS[0]
    sockets: list[socket.socket] = []
    instead_of: HeadlessLoginError | None = None
    code: Attempt | None = None
    try:
        if options.device:
            client = context.client(options.provider)
            code = _begin_code(options, client, left)
            context.say(*filter(None, [client.clock_trouble]))
            if not (can_be_asked() or options.phone):
                return _Begun(code, code=code)
        elif not options.paste:
            port, sockets = _bind(options, context)
    except LocalTrouble as trouble:
        instead_of = trouble
    except SignInRefused as refused:
        if refused.error != "device_auth_disabled":
            raise
        instead_of = refused
    if instead_of:
        context.say(f"{instead_of.message} Signing in by paste instead.")
    attempt = begin(options.provider, rules, port=port, lifetime=left(), expect=options.expect)
    attempt = options.marked(attempt)
    return _Begun(attempt, sockets, port if sockets else None, instead_of, code)


def _bind(options: Options, context: Context) -> tuple[int, list[socket.socket]]:
    from headless_login.flows.ports import LOOPBACK, bind_loopback

    return bind_loopback(
        (options.port,) if options.port else LOOPBACK_PORTS,
        (options.bind,) if options.bind else LOOPBACK,
        take_over=options.take_over,
        on_passed_over=lambda text: context.say(f"Note: {text}"),
    )


def _finish_another(
    text: str, rejected: RejectedAnswer, options: Options, context: Context
) -> SignedIn:
    """Finish the attempt that `login start` began, if that is what was answered here."""
    if rejected.error != "state_mismatch":
        raise rejected
    from headless_login.commands.finish import finish_another

    return finish_another(text, rejected, options, context)


def login_for(
    targets: Sequence[str],
    options: Options,
    context: Context,
    sign_in: Callable[[Options, Context], object] = login,
) -> int:
    """Sign in once for each target, one after the other; returns the first failure's exit code.

    `sign_in` is the way. All targets are reached before the first address is shown.

    Raises:
        WrongUsage: one is no target.
        HeadlessLoginError: of a single one, which is the command's own.
    """
    places = {target: _options_for(target, options, context) for target in targets}
    if len(places) == 1:
        (one,) = places.values()
        sign_in(one, context)
        return 0
    failed: dict[str, HeadlessLoginError] = {}
    for one in places.values():
        _try(one, lambda one, _: one.destination.check(), failed, context)
    for target, one in places.items():
        if target not in failed:
            context.say(f"Signing in for {target}:")
            _try(one, sign_in, failed, context)
    context.say(*(f"{each}: {'failed' if each in failed else 'signed in'}." for each in places))
    return next(iter(failed.values())).exit_code if failed else 0


def _options_for(target: str, options: Options, context: Context) -> Options:
    from headless_login.commands.command_line import command_to_deliver
    from headless_login.delivery.target import Replacing, destination_at

    destination = destination_at(
        target,
        context.environ,
        Replacing(options.replaces, options.expect),
        store_anyway=options.store_anyway,
        to_deliver=command_to_deliver(target, options.replaces),
    )
    return options._replace(destination=destination, to=target)


def _try(
    options: Options,
    do: Callable[[Options, Context], object],
    failed: dict[str, HeadlessLoginError],
    context: Context,
) -> None:
    """Do a part of it for one target, and tell its failure."""
    try:
        do(options, context)
    except HeadlessLoginError as error:
        failed[options.to] = error
        context.output.tell_error(error, options.to)
