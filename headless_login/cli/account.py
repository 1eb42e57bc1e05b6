"""The commands beside `login`: who is or was signed in, signing out, a token, checks, practice."""

from __future__ import annotations

from typing import Annotated

import typer

from headless_login.cli.options import CodexHomeOption, JsonOption, ReplaceOption, hand_down
from headless_login.codex.home import CodexHome
from headless_login.commands.context import Context
from headless_login.terminal.output import Events, Output


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    codex_home: CodexHomeOption = None,
) -> None:
    """Return whether and as whom this machine is signed in.

    It never touches the network.
    """
    from headless_login.commands.status import report_status

    context = Context()
    home = CodexHome.find(codex_home, context.environ)
    text, exit_code = report_status(home, context.environ, context.time_of_day(), as_json=as_json)
    context.output.answer.write(f"{text}\n")
    raise typer.Exit(exit_code)


def logout(
    revoke: Annotated[
        bool,
        typer.Option("--revoke", help="Also revoke the refresh token, on every machine."),
    ] = False,
    every: Annotated[
        bool,
        typer.Option("--all", help="Forget every kept sign-in, too; with --revoke: revoke each."),
    ] = False,
    codex_home: CodexHomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove the sign-in from this machine, and what is pending.

    What is kept stays kept (`headless-login accounts`), and nothing of it becomes present.
    """
    from headless_login.commands.logout import logout

    context = Context(Output(events=Events(as_json)))
    logout(CodexHome.find(codex_home, context.environ), context, revoke=revoke, every=every)


accounts = typer.Typer(
    help=(
        "Show the sign-ins that this Codex folder has held; or make another one present (`use`), "
        "or forget one (`remove`). A sign-in that replaces another account's keeps it here."
    ),
    short_help="Show, switch and forget the sign-ins of this Codex folder.",
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
)
WhoArgument = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="An e-mail address, an account id or the beginning of either; a key by its mask.",
    ),
]


@accounts.callback()
def show(
    above: typer.Context, codex_home: CodexHomeOption = None, as_json: JsonOption = False
) -> None:
    """Show them, unless a command below says otherwise."""
    if above.invoked_subcommand is None:
        list_(codex_home, as_json)
    else:
        hand_down(above, above.invoked_subcommand)


@accounts.command("list")
def list_(codex_home: CodexHomeOption = None, as_json: JsonOption = False) -> None:
    """Show the sign-ins, the present one first (*), without touching the network."""
    from headless_login.commands.accounts import report_accounts

    context = Context(Output(events=Events(as_json)))
    report_accounts(CodexHome.find(codex_home, context.environ), context, as_json=as_json)


@accounts.command("use")
def use(who: WhoArgument, codex_home: CodexHomeOption = None, as_json: JsonOption = False) -> None:
    """Make another sign-in present, and keep the present one; `use -` goes back."""
    from headless_login.commands.accounts import use
    from headless_login.delivery.destination import CodexFolder

    context = Context(Output(events=Events(as_json)))
    use(who, CodexFolder.find(codex_home, context.environ), context)


@accounts.command("remove")
def remove(
    who: WhoArgument, codex_home: CodexHomeOption = None, as_json: JsonOption = False
) -> None:
    """Forget a kept sign-in, without asking the issuer for anything."""
    from headless_login.commands.accounts import remove
    from headless_login.delivery.destination import CodexFolder

    context = Context(Output(events=Events(as_json)))
    remove(who, CodexFolder.find(codex_home, context.environ), context)


TOKEN_HELP = """Print an access token that is valid, and nothing else.

It is refreshed first if it ends soon, as Codex would do it: at the issuer that
auth.json names, and without getting in the way of a Codex that runs. For
scripts, and as the command of a model provider of Codex:

\b
  curl -H "Authorization: Bearer $(headless-login token)" ADDRESS
  [model_providers.NAME.auth]
  command = "headless-login"
  args = ["token"]

\b
Exit code 0: the token is on standard output. It is the old one where the
  issuer cannot be reached, as long as that is valid; standard error says so.
  1  not signed in, or the sign-in has ended: headless-login login
  3  the issuer takes the refresh token no more: headless-login login
  4  the issuer cannot be reached, and the token has ended: try again
  6  auth.json cannot be read, or not be written
"""  # noqa: S105  # nosec B105


def token(
    min_valid: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Refresh it first if it ends before."),
    ] = 900.0,
    refresh: Annotated[bool, typer.Option("--refresh", help="Refresh it in any case.")] = False,
    api_key: Annotated[
        bool, typer.Option("--api-key", help="Print an API key, too, if that is the sign-in.")
    ] = False,
    codex_home: CodexHomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print an access token that is valid."""
    from headless_login.commands.token import print_token

    context = Context(Output(events=Events(as_json, strict=True)))
    home = CodexHome.find(codex_home, context.environ)
    print_token(home, context, min_valid=min_valid, force=refresh, api_key=api_key)


MinValidOption = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Refresh the access token first if it ends before."),
]
AccessOnlyOption = Annotated[
    bool,
    typer.Option("--access-only", help="Copy the access token alone, which renews nothing."),
]
PUSH_HELP = """Copy the present sign-in to other machines and containers.

\b
TARGET is
  ssh://[USER@]HOST[:PORT][/DIR]       by ssh, with its own configuration
  docker://CONTAINER[/DIR]             by docker; podman://… by podman
  k8s://[NAMESPACE/]POD                by kubectl
  k8s://NAMESPACE/POD/CONTAINER
  a folder here, as /srv/home/.codex
DIR is the Codex folder there, absolute, or /~/DIR below the home there.

Nothing has to be installed there but a POSIX shell. Credentials travel on the
client's standard input, and are verified there before they are used.

A refresh token works once, so that all copies of a sign-in share one future: the
first machine that renews it signs the others out. --access-only shares access
alone, until the access token ends; --move leaves nothing here. For a machine that
keeps a sign-in of its own: headless-login login --to TARGET

\b
Exit code 0: all is delivered
  1  there is no sign-in here
  6  a target was not reached, or refused it
"""


def push(
    targets: Annotated[list[str], typer.Argument(metavar="TARGET...", help="Where it is copied.")],
    access_only: AccessOnlyOption = False,
    move: Annotated[
        bool, typer.Option("--move", help="Remove it here, once it is verified there.")
    ] = False,
    replace: ReplaceOption = False,
    min_valid: MinValidOption = None,
    codex_home: CodexHomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the present sign-in to other machines and containers."""
    from headless_login.commands.push import push

    context = Context(Output(events=Events(as_json)))
    exit_code = push(
        CodexHome.find(codex_home, context.environ),
        targets,
        context,
        access_only=access_only,
        move=move,
        replace=replace,
        min_valid=min_valid,
    )
    raise typer.Exit(exit_code)


def export(
    access_only: AccessOnlyOption = False,
    min_valid: MinValidOption = None,
    format_: Annotated[
        str,
        typer.Option("--format", metavar="auth-json|k8s-secret|base64", help="What is printed."),
    ] = "auth-json",
    force: Annotated[bool, typer.Option("--force", help="To a terminal, too.")] = False,
    codex_home: CodexHomeOption = None,
) -> None:
    """Print auth.json, for pipes, Kubernetes Secrets and CI variables.

    \b
    headless-login export --access-only --format k8s-secret | kubectl apply -f -
    """
    from headless_login.commands.push import export

    context = Context()
    home = CodexHome.find(codex_home, context.environ)
    export(home, context, access_only=access_only, min_valid=min_valid, form=format_, force=force)


DOCTOR_HELP = """Check what a sign-in needs here, and whether the present one will work.

Each line is a check: well, to look at (!), or failed; what to do about it stands
below. Nothing is changed, and no network is touched; with --online the issuer is
asked, and whether the access token still works (the refresh token is never sent).
The report names nobody, and can be pasted into an issue.

\b
Exit code 0: nothing has failed
  1  something has
"""


def doctor(
    online: Annotated[
        bool, typer.Option("--online", help="Also ask the issuer: name, TLS, clock, access token.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a check.")] = False,
    codex_home: CodexHomeOption = None,
) -> None:
    """Check what a sign-in needs here."""
    from headless_login.commands.doctor import doctor

    raise typer.Exit(doctor(codex_home, Context(), online=online, as_json=as_json))


def demo(as_json: JsonOption = False) -> None:
    """Show a whole practice sign-in: no account, no network."""
    from headless_login.commands.demo import demo

    demo(Context(Output(events=Events(as_json))))
