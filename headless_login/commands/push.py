"""`push` and `export`: the present sign-in, or its access token alone, for other machines."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from headless_login.codex.accounts import Accounts, list_accounts
from headless_login.codex.auth_file import Credentials, discard_aside
from headless_login.codex.home import CodexHome
from headless_login.codex.journal import no_refresh, recover
from headless_login.codex.kept import Account, account_of
from headless_login.codex.locks import WAITING
from headless_login.codex.preflight import cannot_write
from headless_login.codex.rules import WAY_OF_MODE
from headless_login.codex.stored import described
from headless_login.commands.context import Context
from headless_login.commands.token import MIN_VALID, valid_token
from headless_login.commands.words import used_from_now_on
from headless_login.delivery.destination import CodexFolder, tell_running
from headless_login.delivery.target import Replacing, destination_at
from headless_login.errors import HeadlessLoginError, LocalTrouble, NotSignedIn, WrongUsage
from headless_login.terminal.output import utc
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from headless_login.delivery.remote import RemoteFolder

_AT_ONCE = 32  # clients that run side by side
_ROUNDS = 3  # that auth.json may change under our hands
_SHARED = (
    "Note: All copies share one refresh token, which works once: the first machine that renews it "
    "signs the others out, this one too. For a machine that keeps its own: headless-login login "
    "--to TARGET. For access alone: --access-only."
)


class Outcome(NamedTuple):
    """How a delivery went: what was said meanwhile, and what went wrong, if anything."""

    said: tuple[str, ...]
    steps: tuple[str, ...] = ()
    trouble: HeadlessLoginError | None = None


def push(
    home: CodexHome,
    targets: Sequence[str],
    context: Context,
    *,
    access_only: bool = False,
    move: bool = False,
    replace: bool = False,
    min_valid: float | None = None,
) -> int:
    """Copy the present sign-in to each target, all at once; returns the exit code.

    `access_only`: a copy that nothing can be renewed with. `move`: it is removed here once it is
    there. `replace`: also over somebody else's. `min_valid` (seconds): refreshed first, here.

    Raises:
        WrongUsage: that does not go together, or a target is none.
        NotSignedIn: there is nothing to copy.
        HeadlessLoginError: it cannot be read, or be refreshed; or, with `move`, be delivered.
    """
    targets = list(dict.fromkeys(targets))
    if move and (access_only or len(targets) > 1):
        raise WrongUsage(
            "--move takes one target, and not --access-only: a refresh token has one place."
        )
    for target in targets:  # before anything is refreshed
        destination_at(target, context.environ, Replacing(replace))
    if move:
        return _move(home, targets[0], context, replace, min_valid)
    account = copy_of(home, context, access_only=access_only, min_valid=min_valid)
    outcomes = _deliver_all(targets, account, context, replace)
    width = max(map(len, targets)) if len(targets) > 1 else 0
    for target in targets:
        _tell(target, outcomes[target], account, context, width)
    failed = [target for target in targets if outcomes[target].trouble]
    if len(targets) > 1:
        context.say(f"Delivered to {len(targets) - len(failed)} of {len(targets)}.")
    if len(failed) < len(targets):
        _tell_what_it_means(account, context)
    return LocalTrouble.exit_code if failed else 0


def copy_of(
    home: CodexHome, context: Context, *, access_only: bool, min_valid: float | None
) -> Account:
    """Return the present sign-in as it is to be copied.

    Raises:
        NotSignedIn: there is none.
        WrongUsage: it has no access token that could be copied alone.
        HeadlessLoginError: it cannot be read, or be refreshed.
    """
    account = _present(home, context)
    if access_only and account.stored.mode not in ("chatgpt", "chatgptAuthTokens"):
        raise WrongUsage(
            f"The present sign-in, with {described(account.stored)}, has no access token of its "
            "own.",
            "Leave --access-only out.",
        )
    if (access_only or min_valid is not None) and account.stored.mode == "chatgpt":
        valid = valid_token(
            home,
            min_valid=MIN_VALID if min_valid is None else min_valid,
            environ=context.environ,
            say=context.say,
            now=context.time_of_day,
            sleep=context.sleep,
        )
        if valid.trouble:
            context.say(f"Note: The token was not refreshed. {valid.trouble}")
        account = _present(home, context)
    if access_only:
        return account_of(Credentials.access_only(account.content).content)
    return account


def _present(home: CodexHome, context: Context) -> Account:
    recover(home, context.say)
    listing = list_accounts(home, tidy=False)
    if listing.trouble is not None:
        raise listing.trouble
    if listing.present is None:
        raise NotSignedIn(f"There is no sign-in in {home.auth_file}.")
    return listing.present


def _deliver_all(
    targets: Sequence[str], account: Account, context: Context, replace: bool
) -> dict[str, Outcome]:
    """Deliver to all of them side by side, with a line that counts them on a terminal."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    may_ask = len(targets) == 1
    counts = context.output.console if not context.output.console.is_dumb else None
    outcomes: dict[str, Outcome] = {}
    with ThreadPoolExecutor(min(_AT_ONCE, len(targets))) as pool:
        running = {
            pool.submit(_deliver, target, account, context, replace, may_ask): target
            for target in targets
        }
        for done in as_completed(running):
            outcomes[running[done]] = done.result()
            if counts and not may_ask:
                counts.write(f"\r{len(outcomes)} of {len(targets)} done")
    if counts and not may_ask:
        counts.write("\r\x1b[K")
    return outcomes


def _deliver(
    target: str, account: Account, context: Context, replace: bool, may_ask: bool
) -> Outcome:
    said: list[str] = []
    try:
        there = destination_at(
            target, context.environ, Replacing(replace, new=account), may_ask=may_ask
        )
        steps = deliver_to(there, account, said.append)
        return Outcome((*said,), (*steps,))
    except HeadlessLoginError as error:
        return Outcome((*said,), trouble=error.with_traceback(None))


def deliver_to(
    there: CodexFolder | RemoteFolder, account: Account, say: Callable[[str], object]
) -> list[str]:
    """Put a copy in another place, whose own rules allow it; returns the steps before its use."""
    rules = there.check(say, method=WAY_OF_MODE.get(account.stored.mode or "", "chatgpt"))
    if account.stored.has_workspace:
        rules.check_workspace(account.stored.workspace_id)
    there.deliver(account.content, say)
    return there.steps_before_use(rules)


def _tell(target: str, outcome: Outcome, account: Account, context: Context, width: int) -> None:
    """Say how one delivery went, as a line of a table of that width, if any; to a program, too."""
    context.say(*outcome.said)
    events, trouble = context.output.events, outcome.trouble
    if trouble is None:
        told = f"delivered; {used_from_now_on(outcome.steps)}"
        context.say(f"{target:<{width}}  {told}" if width else f"{target}: {told}")
        _announce(target, account, context)
        return
    message = trouble.message if target in trouble.message else f"{target}: {trouble.message}"
    if width:
        what = message.removeprefix(f"{target}: ")
        context.say(f"{target:<{width}}  failed: {what} {trouble.hint}")
    else:
        context.say(f"Error: {message}", trouble.hint)
    events.emit(
        "error",
        error=trouble.error,
        message=message,
        hint=trouble.hint,
        exit_code=LocalTrouble.exit_code,
        pending=False,
        target=target,
    )


def _announce(target: str, account: Account, context: Context) -> None:
    expires_at = account.stored.access_token_expires_at
    context.output.events.emit(
        "delivered",
        target=target,
        access_only=_is_access_only(account),
        expires_at=None if expires_at is None else utc(expires_at),
    )


def _is_access_only(account: Account) -> bool:
    return account.stored.access_token is not None and not account.stored.refresh_token


def _tell_what_it_means(account: Account, context: Context) -> None:
    expires_at = account.stored.access_token_expires_at
    if account.stored.refresh_token:
        context.say(_SHARED)
    elif _is_access_only(account) and expires_at is not None:
        until = utc(expires_at)[:16].replace("T", " ")
        context.say(
            f"What was delivered works until {until} UTC, and renews nothing. Push again at least "
            "10 minutes before."
        )


def _move(
    home: CodexHome, target: str, context: Context, replace: bool, min_valid: float | None
) -> int:
    """Deliver it, and remove it here as soon as what is here is what was delivered."""
    _present(home, context)  # there is something to move
    _check_elsewhere(home, target, context)
    for _ in range(_ROUNDS):
        account = copy_of(home, context, access_only=False, min_valid=min_valid)
        replacing = Replacing(replace, new=account)
        there = destination_at(target, context.environ, replacing)
        steps = deliver_to(there, account, context.say)
        try:
            is_removed = _remove(home, account, context)
        except LocalTrouble as trouble:
            told = f"It is delivered to {target}, and still here: {trouble.message}"
            raise LocalTrouble(trouble.error, told, trouble.hint) from None
        if is_removed:
            context.say(
                f"{target}: delivered; {used_from_now_on(steps)}",
                f"Signed out here: the sign-in in {home.auth_file} is gone.",
            )
            tell_running(home, account.stored, context.say)
            discard_aside(home)
            _announce(target, account, context)
            return 0
        context.say("Another program has renewed the sign-in here meanwhile; delivering that.")
    raise LocalTrouble(
        "store_failed",
        f"Other programs change {home.auth_file} again and again, so it is here and on {target}.",
        "Close Codex here, and run the same command again.",
    )


def _check_elsewhere(home: CodexHome, target: str, context: Context) -> None:
    """Refuse (WrongUsage) a target that is this very folder: a shared home, or this machine.

    Raises:
        LocalTrouble: that cannot be found out.
    """
    from tempfile import NamedTemporaryFile

    there = destination_at(target, context.environ, Replacing())
    try:
        with NamedTemporaryFile(dir=home.path, prefix=".headless-login-") as marker:
            is_here = there.has_file(os.path.basename(marker.name))
    except OSError as error:
        refused = error
    else:
        if is_here:
            raise WrongUsage(
                f"{target} is this very folder, {home.path}: nothing was moved.",
                "Name the folder that the other machine does not share with this one.",
            )
        return
    raise cannot_write(home.auth_file, refused)


def _remove(home: CodexHome, account: Account, context: Context) -> bool:
    """Remove auth.json, if it is still the one that was delivered."""
    with (
        no_refresh(home, context.say),
        Accounts.locked(home, on_wait=lambda: context.say(WAITING)) as accounts,
    ):
        if accounts.auth_file.read()[0] != account.content:
            return False
        return accounts.auth_file.remove()


def export(
    home: CodexHome,
    context: Context,
    *,
    access_only: bool,
    min_valid: float | None,
    form: str,
    force: bool,
) -> None:
    """Print auth.json, for a pipe; `form` is `auth-json`, `k8s-secret` or `base64`.

    Raises:
        WrongUsage: that is no form, or standard output is a terminal.
        HeadlessLoginError: as `copy_of`.
    """
    from base64 import b64encode

    if form not in FORMS:
        raise WrongUsage(f"--format takes {', '.join(FORMS[:-1])} or {FORMS[-1]}.")
    answer = context.output.answer
    if answer.is_terminal and not force:
        raise WrongUsage(
            "This would print secrets to a terminal.", "Send it into a pipe, or add --force."
        )
    account = copy_of(home, context, access_only=access_only, min_valid=min_valid)
    encoded = b64encode(account.content).decode()
    text = {
        "auth-json": account.content.decode(),
        "base64": encoded,
        "k8s-secret": _SECRET.format(encoded),
    }[form]
    answer.write(f"{text.rstrip()}\n")
    if account.stored.refresh_token:
        context.say(_SHARED)


FORMS = ("auth-json", "k8s-secret", "base64")
_SECRET = """\
apiVersion: v1
kind: Secret
metadata:
  name: codex-auth
type: Opaque
data:
  auth.json: {}
"""  # noqa: S105  # nosec B105
