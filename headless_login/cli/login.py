"""`login`, by one of five ways, and `login start` and `finish`, whose help an agent has to read."""

from __future__ import annotations

from headless_login.cli.options import (
    check_phone,
    check_port,
    check_target,
    destination_of,
    options_of,
)
from headless_login.commands.context import Context, Options
from headless_login.errors import WrongUsage
from headless_login.terminal.output import Events, Output
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


LOGIN_HELP = (
    "Sign in with ChatGPT: by a browser that reaches this machine, or by pasting the address that "
    "the browser ends at, whichever comes first. Or store an API key or an access token. Without a "
    "terminal: `login start` and `login finish`."
)


def sign_in(
    *,
    paste_redirect: bool,
    device_auth: bool,
    with_api_key: bool,
    with_access_token: bool,
    api_key: str | None,
    no_browser: bool,
    qr: str,
    qr_file: str | None,
    timeout: str,
    port: int | None,
    bind: str | None,
    take_over_port: bool,
    phone: bool,
    phone_bind: str | None,
    issuer: str | None,
    client_id: str | None,
    scope: str | None,
    codex_home: str | None,
    store_anyway: bool,
    expect: str | None,
    revoke_old: bool,
    to: tuple[str, ...],
    replace: bool,
    as_json: bool,
) -> int:
    """Sign in, by one of five ways."""
    ways = {"--paste-redirect": paste_redirect, "--device-auth": device_auth}
    ways |= {"--with-api-key": with_api_key, "--with-access-token": with_access_token}
    _check_ways(api_key, ways)
    check_phone(phone, phone_bind, expect, [*filter(ways.get, ways)])
    context = Context(Output(events=Events(as_json)))
    fate, client = (store_anyway, revoke_old, expect), (issuer, client_id, scope)
    way = _store_api_key if with_api_key else _store_access_token if with_access_token else None
    check_target(to, replace, revoke_old, is_given=way is not None)
    if with_api_key:
        options = _options_without_issuer(context, codex_home, fate)
    else:
        options = options_of(context, codex_home, client, qr, qr_file, timeout, fate)
        check_port(options.provider, port)
    options = options._replace(device=device_auth, paste=paste_redirect, browser=not no_browser)
    options = options._replace(port=port, bind=bind, take_over=take_over_port, replaces=replace)
    options = options._replace(phone=phone, phone_bind=phone_bind)
    return _sign_in(options, context, way, to)


def _options_without_issuer(
    context: Context, codex_home: str | None, fate: tuple[bool, bool, str | None]
) -> Options:
    folder, expected = destination_of(context, codex_home, *fate)
    return Options(folder.home, folder, expect=expected, store_anyway=fate[0])


def _sign_in(
    options: Options,
    context: Context,
    way: Callable[[Options, Context], object] | None,
    targets: Sequence[str],
) -> int:
    if targets or way is None:  # a key needs nothing of it
        from headless_login.commands.login import login, login_for

        way = way or login
        if targets:
            return login_for(targets, options, context, way)
    way(options, context)
    return 0


def _store_api_key(options: Options, context: Context) -> None:
    from headless_login.commands.given_keys import login_with_api_key

    if options.expect:
        raise WrongUsage(
            "--expect cannot be checked with --with-api-key: a key does not say whose it is.",
            "Leave --expect out.",
        )
    login_with_api_key(options.destination, context, target=options.to)


def _store_access_token(options: Options, context: Context) -> None:
    from headless_login.commands.given_keys import login_with_access_token

    login_with_access_token(
        options.destination,
        options.provider,
        context,
        expect=options.expect,
        target=options.to,
    )


def _check_ways(api_key: str | None, ways: Mapping[str, bool]) -> None:
    if api_key is not None:
        from headless_login.commands.given_keys import refuse_key_argument

        raise refuse_key_argument()
    if len(chosen := [name for name, given in ways.items() if given]) > 1:
        raise WrongUsage(f"{' and '.join(chosen)} are different sign-ins.", "Choose one.")


START_HELP = """\
Begin a sign-in that `login finish` completes in another call.

For agents, scripts and chat. It prints an address on the first line, keeps the sign-in
pending for 15 minutes, and ends at once. Nothing listens and nothing waits, so it needs no
terminal.

\b
WITH AN ADDRESS THAT COMES BACK
1. headless-login login start
   prints an address, and the command for step 3.
   (--qr-file code.png: the address as a picture, too.)
2. Send the person that address, whole and unchanged, and write:
   "Please open this address and sign in. Your browser will then show
   an error such as 'This site can't be reached'. Nothing is broken:
   stay on that page, tap the address bar, select all, copy, and send
   it to me. It is not the address that I sent you: it begins with
   http://127.0.0.1:1455/auth/callback?code="
3. Run the command that step 1 printed, with all that they send on its
   standard input, as it is: the address is found in it. Write it to a
   file (not by a shell command: it may hold anything), and add < FILE
   (on Windows: put type FILE | before it).
4. Exit code 0: done, codex is signed in on this machine.

\b
WITH A CODE: easier for a person on a phone, as nothing comes back
1. headless-login login start --device-auth
   prints a page, a one-time code, and the command for step 3.
2. Send the person both, and write: "Please open this page, sign in,
   and type this code. Go on only if you asked me for this sign-in.
   Tell me when you are done." Some accounts do not allow codes; then
   the page says so: send the address that step 1 printed, too, and
   go on at 3 above, with login finish -. Whichever comes first counts.
3. Run the command that step 1 printed (login finish --no-wait). It
   asks once; exit code 5: not yet, run it again some seconds later.
   Without --no-wait it waits until the person is done.

\b
IF finish FAILS, it says why, and the exit code tells what to do:
2  the command is wrong, or no address came in: fix it, go on at 3.
3  the answer was refused. If it stays pending, ask the person for
   what the message names and go on at 3; they may open the same
   address again. If it is used up, expired or unknown: back to 1.
4  the issuer cannot be reached: it stays pending, go on at 3.
5  not approved yet, or the code has expired: the message says which.
6  this machine cannot store it: fix what is named, back to 1.

\b
Start and finish have to run as the same user, on the same machine,
with the same Codex folder. Several sign-ins may be pending at once.
What comes back works only with its pending sign-in, on this machine;
here it signs in as that person. Never ask anybody for a password.
--json prints events for programs.
"""


def start(
    *,
    device_auth: bool,
    qr: str,
    qr_file: str | None,
    timeout: str,
    redirect_port: int,
    issuer: str | None,
    client_id: str | None,
    scope: str | None,
    codex_home: str | None,
    store_anyway: bool,
    expect: str | None,
    to_one: str | None,
    replace: bool,
    as_json: bool,
) -> None:
    """Begin a sign-in that `login finish` completes in another call."""
    from headless_login.commands.login import login_for
    from headless_login.commands.start import start

    context = Context(Output(events=Events(as_json, strict=True)))
    client = (issuer, client_id, scope)
    fate = (store_anyway, False, expect)
    options = options_of(context, codex_home, client, qr, qr_file, timeout, fate)
    check_port(options.provider, redirect_port)
    options = options._replace(device=device_auth, port=redirect_port, replaces=replace)
    check_target(targets := [to_one] if to_one else [], replace, revoke_old=False, is_given=False)
    if targets:
        login_for(targets, options, context, start)
    else:
        start(options, context)


def finish(
    *,
    answer: str | None,
    no_wait: bool,
    codex_home: str | None,
    store_anyway: bool,
    expect: str | None,
    revoke_old: bool,
    as_json: bool,
) -> None:
    """Complete a sign-in that `login start` began, in a call of its own.

    The answer finds its sign-in by the state that it carries. One that is rejected does not use
    the sign-in up, nor does an issuer that cannot be reached: run it again with the right answer,
    or later.

    \b
    headless-login login finish - < FILE
    type FILE | headless-login login finish -   the same on Windows
    headless-login login finish                 asks for it on a terminal
    headless-login login finish --no-wait       for a one-time code
    """
    from headless_login.commands.finish import finish

    context = Context(Output(events=Events(as_json)))
    folder, expected = destination_of(context, codex_home, store_anyway, revoke_old, expect)
    finish(answer, folder, context, wait=not no_wait, expect=expected)
