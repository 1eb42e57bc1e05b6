"""`login finish`: the second half of a sign-in that `login start` began in another process."""

from __future__ import annotations

import os
from collections.abc import Callable

from headless_login.codex.home import CodexHome
from headless_login.codex.pending.record import identifier
from headless_login.codex.pending.store import Claim, PendingAttempts, refusal
from headless_login.codex.rules import Rules
from headless_login.commands.command_line import command_to_deliver, own_command
from headless_login.commands.context import Context, Options
from headless_login.commands.conversation import Conversation, conclude
from headless_login.commands.device import OneTimeCode
from headless_login.commands.pending_answers import MOST, PendingAnswers, device_code_among
from headless_login.commands.words import WithoutInput, duration
from headless_login.delivery.destination import CodexFolder, Destination
from headless_login.errors import (
    HeadlessLoginError,
    IssuerTrouble,
    RejectedAnswer,
    SignInRefused,
    TimedOut,
    WrongUsage,
)
from headless_login.flows.device import slower
from headless_login.flows.race import PastedAnswers
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.text import fed
from headless_login.oauth.values import AuthorizationPending, DeviceCode, Grant, Tokens
from headless_login.signin import SignedIn, complete
from headless_login.terminal.input import (
    can_be_asked,
    has_input,
    input_is_ready,
    is_silent,
    quiet_input,
)
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from headless_login.oauth.identity import Identity

PATIENCE = 30.0  # seconds for an address to come from a pipe: its caller has it already
_STDIN = "-"
_PENDING = "The sign-in stays pending."
_RUN_AGAIN = "This sign-in stays pending: then run the same command again."


def finish(
    answer: str | None,
    folder: CodexFolder,
    context: Context,
    *,
    wait: bool = True,
    patience: float = PATIENCE,
    expect: tuple[str, ...] = (),
) -> SignedIn:
    """Finish by an answer (`-`: on standard input), or by the one-time code that is pending.

    Without one, what standard input already holds is the answer; else whichever comes first, an
    answer or the approval of the newest code. In a pipe the newest sign-in decides whether it is
    read. Without `wait` the issuer is asked once about the code. `patience` is in seconds, for
    input of which there is no sign yet. `expect` names the account that has to sign in, beside what
    `login start` was told.

    Raises:
        HeadlessLoginError: it is not finished; what can still be finished stays pending.
    """
    if not os.path.isdir(folder.home.path):
        raise refusal("nothing", folder.home.path)
    signed_in = _finish(answer, folder, context, wait, patience, expect)
    if signed_in.to_revoke is not None:
        from headless_login.commands.logout import revoke_replaced

        revoke_replaced(signed_in.to_revoke, context)
    return signed_in


def _finish(
    answer: str | None,
    folder: CodexFolder,
    context: Context,
    wait: bool,
    patience: float,
    expect: tuple[str, ...],
) -> SignedIn:
    with PendingAttempts.opened(folder.home) as pending:
        # A one-time code is found among all of them.
        is_code = answer is not None and answer.strip().replace("-", "").isalnum()
        waiting = pending.waiting(None if is_code else MOST)
        finishing = _Finishing(pending, folder, None, context, folder.home, expect)
        if not any(attempt.to for attempt in waiting):  # else it may be for another machine
            finishing = finishing._replace(rules=folder.check(context.say))
        if answer is None and wait and input_is_ready():
            answer = _STDIN
        if chosen := device_code_among(waiting, answer):
            is_newest = chosen is waiting[0]
            others = [each for each in waiting if each.user_code is None]
            pastes = answer is None and bool(others) and (not is_newest or can_be_asked())
            return _by_code(finishing, chosen, wait=wait, pastes=pastes and has_input())
        if answer is None and not wait:
            raise _no_code() if waiting and not pending.latest_is_gone else pending.reason()
        if answer not in (None, _STDIN):
            return _by_argument(finishing, str(answer))
        if not waiting and (pending.is_blank or can_be_asked() or not has_input()):
            raise pending.reason()
        if is_silent():
            context.say("Reading the address from standard input…")
        longest = max((attempt.left(context.time_of_day()) for attempt in waiting), default=0.0)
        patient = answer == _STDIN or can_be_asked()
        return _by_input(finishing, max(patience, longest if patient else 0.0))


def finish_another(
    text: str, rejected: RejectedAnswer, options: Options, context: Context
) -> SignedIn:
    """Finish the attempt that `login start` began, if `text`, pasted into `login`, answers it.

    Raises:
        RejectedAnswer: `rejected`; it is no attempt's answer.
        HeadlessLoginError: as `finish`.
    """
    home = options.home
    with PendingAttempts.opened(home) as pending:
        answers = PendingAnswers(pending)
        outcome = PastedAnswers(answers).outcome(text)
        if answers.found is None:
            raise rejected
        context.say("That answers the sign-in that `login start` began; finishing that one.")
        destination, rules = options.destination, Rules.read(home)
        finishing = _Finishing(pending, destination, rules, context, home, options.expect)
        return _complete(finishing, answers, outcome)


def finish_kept(
    attempt: Attempt,
    grant: Grant | Tokens,
    home: CodexHome,
    destination: Destination,
    rules: Rules,
    context: Context,
    *,
    is_pasted: bool,
    confirm: Callable[[Identity], bool] | None = None,
) -> SignedIn:
    """Finish an attempt that `login` has kept, by the grant that it has won itself.

    With `confirm` (of `complete`) the grant may be a stranger's, which uses nothing up.

    Raises:
        RejectedAnswer: `no_pending_login`; another call was quicker.
        HeadlessLoginError: as `finish`.
    """
    with PendingAttempts.opened(home) as pending, pending.claim(identifier(attempt)) as claim:
        claim.check()
        finishing = _Finishing(pending, destination, rules, context, home)
        return _exchange(finishing, claim, grant, is_pasted=is_pasted, confirm=confirm)


class _Finishing(NamedTuple):
    """The pending attempts, where their credentials go, and with what.

    Without `rules` the destination was not checked yet.
    """

    pending: PendingAttempts
    destination: Destination
    rules: Rules | None
    context: Context
    home: CodexHome
    expect: tuple[str, ...] = ()

    def towards(self, attempt: Attempt) -> _Finishing:
        """Return it with the destination of this attempt, which is checked before it is asked for.

        Raises:
            HeadlessLoginError: credentials could not go there; it stays pending.
        """
        if attempt.to and not isinstance(self.destination, CodexFolder):
            return self  # the attempt is this process's own
        destination, say = self.destination, self.context.say
        if attempt.to:
            from headless_login.delivery.target import Replacing, destination_at

            destination = destination_at(
                attempt.to,
                self.context.environ,
                Replacing(attempt.replaces, (*attempt.expect, *self.expect)),
                store_anyway=isinstance(self.destination, CodexFolder)
                and self.destination.store_anyway,
                to_deliver=command_to_deliver(attempt.to, attempt.replaces),
            )
        elif self.rules is not None:
            return self
        try:
            return self._replace(destination=destination, rules=destination.check(say))
        except HeadlessLoginError as error:
            error.pending = _RUN_AGAIN
            raise

    def command(self, *words: str) -> str:
        """Return the command that goes on with it."""
        return own_command(self.home, self.context.environ, "login", "finish", *words)


def _by_argument(finishing: _Finishing, text: str) -> SignedIn:
    answers = PendingAnswers(finishing.pending)
    outcome = PastedAnswers(answers).outcome(text)
    if isinstance(outcome, RejectedAnswer) and outcome.error == "missing_state":
        raise RejectedAnswer(
            outcome.error,
            outcome.message,
            "If a shell cut the address at an &, put it into a file: "
            f"{fed(finishing.command(_STDIN))} {_PENDING}",
        )
    return _complete(finishing, answers, outcome)


def _by_input(finishing: _Finishing, seconds: float) -> SignedIn:
    """Finish by what a person pastes, asked again if need be, or by what a pipe holds."""
    answers = PendingAnswers(finishing.pending)
    outcome: Grant | Tokens | HeadlessLoginError
    with quiet_input():
        left = finishing.context.countdown(seconds)
        try:
            with Conversation(answers, finishing.context, left) as talk:
                outcome = talk.win()
        except (WithoutInput, TimedOut):
            raise WrongUsage(
                "There is no address: none came on standard input.",
                f"Use: {fed(finishing.command(_STDIN))} (in a container: docker exec -i)",
            ) from None
        except SignInRefused as refused:
            outcome = refused.with_traceback(None)
        return _complete(finishing, answers, outcome)


def _complete(
    finishing: _Finishing, answers: PendingAnswers, outcome: Grant | Tokens | HeadlessLoginError
) -> SignedIn:
    """Exchange the grant that was won; a refusal by the issuer uses its attempt up, too."""
    if isinstance(outcome, RejectedAnswer):
        if outcome.error != "no_pending_login" and finishing.pending.waiting(1):
            outcome.pending = _PENDING
        raise outcome
    if answers.found is None:
        raise outcome if isinstance(outcome, HeadlessLoginError) else refusal("unknown")
    if not isinstance(outcome, HeadlessLoginError):
        finishing = finishing.towards(answers.found)
    with finishing.pending.claim(identifier(answers.found)) as claim:
        if isinstance(outcome, HeadlessLoginError):
            claim.use_up()
            raise outcome
        claim.check()
        return _exchange(finishing, claim, outcome, is_pasted=True)


def _exchange(
    finishing: _Finishing,
    claim: Claim,
    grant: Grant | Tokens,
    *,
    is_pasted: bool = False,
    confirm: Callable[[Identity], bool] | None = None,
) -> SignedIn:
    """Turn the grant into stored credentials; an issuer that has answered uses the attempt up.

    But not by `invalid_grant` for a code that was pasted: it may be damaged or an older one.

    Raises:
        HeadlessLoginError: as `complete`; unanswered, the attempt stays pending.
    """
    exchanged: list[bool] = []

    def use_up() -> None:
        exchanged.append(True)
        claim.use_up()

    context = finishing.context
    attempt = claim.attempt._replace(expect=(*claim.attempt.expect, *finishing.expect))
    try:
        signed_in = complete(
            grant,
            attempt,
            finishing.destination,
            rules=finishing.rules,
            client=context.client(claim.attempt.provider),
            say=context.say,
            on_exchanged=use_up if confirm is None else _later,
            confirm=confirm,
        )
        if confirm is not None:
            claim.use_up()
        return conclude(signed_in, context)
    except (SignInRefused, IssuerTrouble) as error:
        stays = confirm is not None or (is_pasted and error.error == "invalid_grant")
        if not stays and (exchanged or _is_final(error)):
            claim.use_up()
        else:
            error.pending = _PENDING if stays else _RUN_AGAIN
        raise


def _later() -> None:
    """Leave it to the end: a stranger's grant uses nothing up."""


def _is_final(error: HeadlessLoginError) -> bool:
    """Return whether the issuer has answered, so that asking again is of no use."""
    return isinstance(error, SignInRefused) or error.error == "token_response_invalid"


def _by_code(finishing: _Finishing, chosen: Attempt, *, wait: bool, pastes: bool) -> SignedIn:
    """Finish by a one-time code, or with `pastes` by an answer to any sign-in, if that is quicker.

    Without `wait` it is asked about only once.

    Raises:
        TimedOut: `timed_out`, not approved yet; or `device_code_expired`.
        HeadlessLoginError: it was refused, or the issuer cannot be asked.
    """
    answers = PendingAnswers(finishing.pending)
    aimed = finishing.towards(chosen)
    with finishing.pending.claim(identifier(chosen)) as claim:
        outcome: Grant | Tokens | HeadlessLoginError | None = claim.attempt.grant
        is_pasted = False
        if outcome is None and wait:
            outcome, is_pasted = _wait(aimed, claim, answers, pastes=pastes)
        elif outcome is None:
            outcome = _ask_once(aimed, claim)
        if not is_pasted:
            return _by_approval(aimed, claim, outcome)
    return _complete(finishing, answers, outcome)


def _by_approval(
    finishing: _Finishing, claim: Claim, outcome: Grant | Tokens | HeadlessLoginError
) -> SignedIn:
    """Exchange what the person's approval has brought, unless the address was answered first."""
    if isinstance(outcome, HeadlessLoginError):
        raise outcome
    claim.check()
    if isinstance(outcome, Grant) and claim.attempt.grant is None:
        claim.keep(claim.attempt._replace(grant=outcome))  # it is given once
    with finishing.pending.claim_beside(claim):
        if isinstance(outcome, Tokens):
            claim.use_up()
        return _exchange(finishing, claim, outcome)


def _end(claim: Claim, error: HeadlessLoginError) -> None:
    """Mark a code that is dead."""
    if error.error == "device_code_expired":
        claim.expire()
    elif _is_final(error) and not isinstance(error, RejectedAnswer):
        claim.end_code()


def _wait(
    finishing: _Finishing, claim: Claim, answers: PendingAnswers, *, pastes: bool
) -> tuple[Grant | Tokens | HeadlessLoginError, bool]:
    """Return what came first, a refusal too, and whether it was pasted."""
    context, code = finishing.context, _code_of(claim, finishing.context.time_of_day)
    context.say(f"Waiting for the code {code.user_code} at {code.verification_uri}")
    pending, attempt = finishing.pending, claim.attempt
    one_time_code = OneTimeCode(
        context,
        attempt.provider,
        attempt=attempt._replace(awaits=code),
        first_pause=max(0.0, code.interval - claim.age(context.time_of_day())),
        on_ended=lambda error: _end(claim, error),
        check=lambda: pending.check(attempt.beside or identifier(attempt)),
    )
    longest = max(each.left(context.time_of_day()) for each in pending.waiting(MOST))
    left = context.countdown(longest)
    with quiet_input():
        try:
            with Conversation(answers, context, left, code=one_time_code, asks=pastes) as talk:
                return talk.win(), talk.is_pasted
        except SignInRefused as refused:
            return refused.with_traceback(None), refused is not one_time_code.error


def _ask_once(finishing: _Finishing, claim: Claim) -> Grant | Tokens:
    from headless_login.issuer.client import EXCHANGE_TIMEOUT

    context, code = finishing.context, _code_of(claim, finishing.context.time_of_day)
    client = context.client(claim.attempt.provider)
    try:
        answer = client.poll_device_code(code, timeout=min(EXCHANGE_TIMEOUT, code.expires_in))
    except HeadlessLoginError as error:
        _end(claim, error)
        raise
    if not isinstance(answer, AuthorizationPending):
        return answer
    if answer.slow_down:
        code = code._replace(interval=slower(code.interval))
        claim.keep(claim.attempt._replace(awaits=code))
    raise TimedOut(
        f"The code {code.user_code} has not been typed yet; the sign-in is still pending.",
        f"Ask again, in {duration(code.interval)} or later: {finishing.command('--no-wait')}",
    )


def _code_of(claim: Claim, time_of_day: Callable[[], float]) -> DeviceCode:
    """Return the one-time code, which expires `expires_in` seconds from now."""
    assert isinstance(claim.attempt.awaits, DeviceCode)  # noqa: S101  # nosec B101
    return claim.attempt.awaits._replace(expires_in=claim.attempt.left(time_of_day()))


def _no_code() -> WrongUsage:
    return WrongUsage(
        "What is pending awaits an address, not the approval of a code.",
        "Leave --no-wait out, and give it the address.",
    )
