"""`login start` and `login finish`; the help of the first is all that an agent has to read."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from headless_login.cli.choices import check_choices, provider_of
from headless_login.cli.options import (
    ClientIdOption,
    CodexHomeOption,
    DeviceOption,
    IssuerOption,
    JsonOption,
    QrFileOption,
    QrOption,
    ScopeOption,
    TimeoutOption,
)
from headless_login.codex.home import CodexHome
from headless_login.commands.listeners import Listeners
from headless_login.terminal.console import Console
from headless_login.terminal.events import Events


def start(
    context: typer.Context,
    device_auth: DeviceOption = False,
    qr: QrOption = "auto",
    qr_file: QrFileOption = None,
    timeout: TimeoutOption = 900,
    port: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=65535, help="The port in the address it ends at."),
    ] = 1455,
    issuer: IssuerOption = None,
    client_id: ClientIdOption = None,
    scope: ScopeOption = None,
    codex_home: CodexHomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin a sign-in that `login finish` completes in another call.

    For agents, scripts and chat. It prints an address on the first line, keeps the sign-in
    pending for 15 minutes, and ends at once. Nothing listens and nothing waits, so it needs no
    terminal.

    \b
    WITH A PERSON IN A CHAT
    1. headless-login login start
       prints an address. (--qr-file code.png: also as a picture.)
    2. Send the person that address, whole and unchanged, and write:
       "Please open this address and sign in. Your browser will then end
       at a page that cannot be loaded. That is expected: copy its whole
       address (http://127.0.0.1:1455/auth/callback?code=...&state=...)
       from the address bar and send it to me."
    3. When it has come, write it into standard input, in single quotes:
       echo 'ADDRESS' | headless-login login finish -
    4. Exit code 0: done, codex is signed in on this machine.

    \b
    OR WITH A CODE, so that nothing has to be sent back
    1. headless-login login start --device-auth
       prints a page and a one-time code.
    2. Send the person both: "Open the page, sign in, and type the code.
       Go on only if you asked me for this."
    3. headless-login login finish --no-wait
       asks once; exit code 5: not yet, ask again some seconds later.
       Without --no-wait it waits until the person is done.

    \b
    IF finish FAILS, it says why, and the exit code tells what to do:
    2  the command is wrong, or no address came in: mend it, go on at 3.
    3  the answer was refused. If it says what to paste instead, ask the
       person for that and go on at 3. If it says that the sign-in is
       used up, has expired, or is not known here: go back to 1.
    4  the issuer cannot be reached: the sign-in stays pending, go on at 3.
    5  not approved yet, or the code has expired: the message says which.
    6  this machine cannot store it: mend what is named, go back to 1.

    \b
    Start and finish have to run as the same user, on the same machine,
    with the same Codex folder. Several sign-ins may be pending at once.
    The address that comes back is worthless anywhere else. Never ask the
    person for a password. --json prints events for programs.
    """
    from headless_login.commands.options import Options
    from headless_login.commands.two_calls.start import Start

    check_choices(qr, qr_file, timeout)
    options = Options(
        provider=provider_of(context, issuer, client_id, scope),
        codex_home=codex_home,
        qr=qr,
        qr_file=qr_file,
        timeout=timeout,
        port=port,
        device=device_auth,
    )
    Start(options, Listeners(Console(), Events(as_json))).run()


def finish(
    answer: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL|-]",
            help="The address that the browser ended at; better on standard input (-), which "
            "other users of this machine cannot see. Nothing for a one-time code.",
        ),
    ] = None,
    no_wait: Annotated[
        bool,
        typer.Option(
            "--no-wait", help="Ask once about a one-time code; exit 5 if it is still pending."
        ),
    ] = False,
    codex_home: CodexHomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Complete a sign-in that `login start` began, in a call of its own.

    The answer finds its sign-in by the state that it carries. One that is rejected does not use
    the sign-in up, nor does an issuer that cannot be reached: run it again with the right answer,
    or later.

    \b
    echo 'ADDRESS' | headless-login login finish -
    headless-login login finish - < FILE
    headless-login login finish            asks for it on a terminal
    headless-login login finish --no-wait  for a one-time code
    """
    from headless_login.commands.two_calls.finish import Finish, ready_to_finish
    from headless_login.commands.two_calls.finishing import Finishing

    listeners = Listeners(Console(), Events(as_json))
    ready = ready_to_finish(CodexHome.find(codex_home, os.environ), listeners)
    Finish(Finishing(listeners, ready)).run(answer, wait=not no_wait)
