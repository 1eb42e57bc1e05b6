"""`login start` and `login finish`; the help of the first is all that an agent has to read."""

from __future__ import annotations

from typing import Annotated

import typer

from headless_login.cli.options import (
    ClientIdOption,
    CodexHomeOption,
    DeviceOption,
    ExpectOption,
    IssuerOption,
    JsonOption,
    NoWaitOption,
    QrFileOption,
    QrOption,
    RedirectPortOption,
    ReplaceOption,
    RevokeOldOption,
    ScopeOption,
    StoreAnywayOption,
    TimeoutOption,
    ToOneOption,
    check_port,
    check_target,
    destination_of,
    options_of,
)
from headless_login.commands.context import Context
from headless_login.terminal.output import Events, Output

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
   file (not by a shell command: it may hold anything), and add < FILE.
4. Exit code 0: done, codex is signed in on this machine.

\b
WITH A CODE: easier for a person on a phone, as nothing comes back
1. headless-login login start --device-auth
   prints a page, a one-time code, and the command for step 3.
2. Send the person both, and write: "Please open this page, sign in,
   and type this code. Go on only if you asked me for this sign-in.
   Tell me when you are done." Some accounts do not allow codes; then
   the page says so: use an address.
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
    above: typer.Context,
    device_auth: DeviceOption = False,
    qr: QrOption = "auto",
    qr_file: QrFileOption = None,
    timeout: TimeoutOption = 900,
    port: RedirectPortOption = 1455,
    issuer: IssuerOption = None,
    client_id: ClientIdOption = None,
    scope: ScopeOption = None,
    codex_home: CodexHomeOption = None,
    store_anyway: StoreAnywayOption = False,
    expect: ExpectOption = None,
    to: ToOneOption = None,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Begin a sign-in that `login finish` completes in another call."""
    from headless_login.commands.login import login_for
    from headless_login.commands.start import start

    context = Context(Output(events=Events(as_json, strict=True)))
    client = (issuer, client_id, scope)
    fate = (store_anyway, False, expect)
    options = options_of(above, context, codex_home, client, qr, qr_file, timeout, fate)
    check_port(options.provider, port)
    options = options._replace(device=device_auth, port=port, replaces=replace)
    check_target(targets := [to] if to else [], replace, revoke_old=False, is_given=False)
    if targets:
        login_for(targets, options, context, start)
    else:
        start(options, context)


def finish(
    answer: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL|-]",
            help="The address that the browser ended at; better on standard input (-), which "
            "other users of this machine cannot see. Nothing for a one-time code.",
        ),
    ] = None,
    no_wait: NoWaitOption = False,
    codex_home: CodexHomeOption = None,
    store_anyway: StoreAnywayOption = False,
    expect: ExpectOption = None,
    revoke_old: RevokeOldOption = False,
    as_json: JsonOption = False,
) -> None:
    """Complete a sign-in that `login start` began, in a call of its own.

    The answer finds its sign-in by the state that it carries. One that is rejected does not use
    the sign-in up, nor does an issuer that cannot be reached: run it again with the right answer,
    or later.

    \b
    headless-login login finish - < FILE
    headless-login login finish            asks for it on a terminal
    headless-login login finish --no-wait  for a one-time code
    """
    from headless_login.commands.finish import finish

    context = Context(Output(events=Events(as_json)))
    folder, expected = destination_of(context, codex_home, store_anyway, revoke_old, expect)
    finish(answer, folder, context, wait=not no_wait, expect=expected)
