"""The commands beside `login`: who is or was signed in, signing out, a token, checks, practice."""

from __future__ import annotations

from headless_login.codex.home import CodexHome
from headless_login.commands.context import Context
from headless_login.terminal.output import Events, Output


def status(*, as_json: bool, codex_home: str | None) -> int:
    """Return whether and as whom this machine is signed in.

    It never touches the network.
    """
    from headless_login.commands.status import report_status

    context = Context()
    home = CodexHome.find(codex_home, context.environ)
    text, exit_code = report_status(home, context.environ, context.time_of_day(), as_json=as_json)
    context.output.answer.write(f"{text}\n")
    return exit_code


def logout(*, revoke: bool, every: bool, codex_home: str | None, as_json: bool) -> None:
    """Remove the sign-in from this machine, and what is pending.

    What is kept stays kept (`headless-login accounts`), and nothing of it becomes present.
    """
    from headless_login.commands.logout import logout

    context = Context(Output(events=Events(as_json)))
    logout(CodexHome.find(codex_home, context.environ), context, revoke=revoke, every=every)


ACCOUNTS_HELP = (
    "Show the sign-ins that this Codex folder has held; or make another one present (`use`), or "
    "forget one (`remove`). A sign-in that replaces another account's keeps it here."
)


def list_accounts(*, codex_home: str | None, as_json: bool) -> None:
    """Show the sign-ins, the present one first (*), without touching the network."""
    from headless_login.commands.accounts import report_accounts

    context = Context(Output(events=Events(as_json)))
    report_accounts(CodexHome.find(codex_home, context.environ), context, as_json=as_json)


def use(*, who: str, codex_home: str | None, as_json: bool) -> None:
    """Make another sign-in present, and keep the present one; `use -` goes back."""
    from headless_login.commands.accounts import use
    from headless_login.delivery.destination import CodexFolder

    context = Context(Output(events=Events(as_json)))
    use(who, CodexFolder.find(codex_home, context.environ), context)


def remove(*, who: str, codex_home: str | None, as_json: bool) -> None:
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
    *,
    min_valid: float,
    refresh: bool,
    print_api_key: bool,
    codex_home: str | None,
    as_json: bool,
) -> None:
    """Print an access token that is valid."""
    from headless_login.commands.token import print_token

    context = Context(Output(events=Events(as_json, strict=True)))
    home = CodexHome.find(codex_home, context.environ)
    print_token(home, context, min_valid=min_valid, force=refresh, api_key=print_api_key)


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
    *,
    targets: list[str],
    access_only: bool,
    move: bool,
    replace: bool,
    min_valid: float | None,
    codex_home: str | None,
    as_json: bool,
) -> int:
    """Copy the present sign-in to other machines and containers."""
    from headless_login.commands.push import push

    context = Context(Output(events=Events(as_json)))
    return push(
        CodexHome.find(codex_home, context.environ),
        targets,
        context,
        access_only=access_only,
        move=move,
        replace=replace,
        min_valid=min_valid,
    )


def export(
    *,
    access_only: bool,
    min_valid: float | None,
    form: str,
    force: bool,
    codex_home: str | None,
) -> None:
    """Print auth.json, for pipes, Kubernetes Secrets and CI variables.

    \b
    headless-login export --access-only --format k8s-secret | kubectl apply -f -
    """
    from headless_login.commands.push import export

    context = Context()
    home = CodexHome.find(codex_home, context.environ)
    export(home, context, access_only=access_only, min_valid=min_valid, form=form, force=force)


DOCTOR_HELP = """Check what a sign-in needs here, and whether the present one will work.

Each line is a check: well, to look at (!), or failed; what to do about it stands
below. Nothing is changed, and no network is touched; with --online the issuer is
asked, and whether the access token still works (the refresh token is never sent).
The report names nobody, and can be pasted into an issue.

\b
Exit code 0: nothing has failed
  1  something has
"""


def doctor(*, online: bool, as_json: bool, codex_home: str | None) -> int:
    """Check what a sign-in needs here."""
    from headless_login.commands.doctor import doctor

    return doctor(codex_home, Context(), online=online, as_json=as_json)


def demo(*, as_json: bool) -> None:
    """Show a whole practice sign-in: no account, no network."""
    from headless_login.commands.demo import demo

    demo(Context(Output(events=Events(as_json))))
