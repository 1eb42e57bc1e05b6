"""The attempt of a `login` that `login finish` can answer, too: whatever was shown stays good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from headless_login.commands.context import Context, Options
from headless_login.errors import Cancelled, HeadlessLoginError, LocalTrouble, Terminated, TimedOut
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.values import Grant, Tokens
from headless_login.signin import LIFETIME, SignedIn
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from headless_login.codex.rules import Rules
    from headless_login.oauth.identity import Identity


class KeptAttempt:
    """Keeps an attempt as pending where its answer may have to come by another process.

    From then on it is claimed before its answer is exchanged, as by `finish`: one answer is one
    exchange. What is imported here inside is needed for nothing but that.
    """

    def __init__(self, attempt: Attempt, options: Options, context: Context) -> None:
        """Nothing is kept yet."""
        self._attempt = attempt
        self._options = options
        self._context = context
        self._begun = context.time_of_day()
        self._code: Attempt | None = None
        self._has_code = False
        self.is_kept = False
        self.is_answered = False
        self.is_offered: Callable[[], bool] = lambda: True  # else nobody knows it

    @property
    def command(self) -> str:
        """The command that finishes it; empty if it is not kept."""
        from headless_login.commands.command_line import own_command

        if not self.is_kept and not self._has_code:
            return ""
        has_code = self._has_code or self._attempt.user_code
        words = ("login", "finish", *(() if has_code else ("-",)))
        return own_command(self._options.home, self._context.environ, *words)

    def mark(self, ended: HeadlessLoginError | Terminated) -> None:
        """Have what has ended the wait say that it stays pending, if it is kept."""
        ended.pending = "The sign-in stays pending:" if self.command else ""
        ended.command = self.command

    def keep(self) -> None:
        """Keep it for 15 minutes since it was begun, or longer; a full disk is no reason to end.

        For a process that ends before, by a short time-out or a signal, its address is still open.
        """
        from headless_login.codex.pending.store import PendingAttempts

        attempt = self._attempt
        if attempt.user_code is None:
            longest = max(attempt.expires_at, self._begun + LIFETIME)
            attempt = attempt._replace(expires_at=longest)
        if not self.is_kept and attempt.left(self._context.time_of_day()):
            with suppress(LocalTrouble):
                PendingAttempts.keep(self._options.home, attempt)
                self.is_kept = True

    def add(self, code: Attempt) -> None:
        """Have a one-time code that was shown for the same sign-in kept, too, if the wait ends."""
        self._code = code

    def _keep_code(self) -> None:
        from headless_login.codex.pending.record import identifier
        from headless_login.codex.pending.store import PendingAttempts

        if self._code is None or not self._code.left(self._context.time_of_day()):
            return
        beside = identifier(self._attempt) if self.is_kept else ""
        with suppress(LocalTrouble):
            PendingAttempts.keep(self._options.home, self._code._replace(beside=beside))
            self._has_code = True

    def forget(self) -> None:
        """Keep it no longer."""
        if self.is_kept:
            from headless_login.codex.pending.record import identifier
            from headless_login.codex.pending.store import PendingAttempts

            with PendingAttempts.opened(self._options.home) as pending:
                pending.forget(identifier(self._attempt))
            self.is_kept = False

    def check(self) -> None:
        """Raise RejectedAnswer (`no_pending_login`) if another call has finished it meanwhile."""
        if self.is_kept:
            from headless_login.codex.pending.record import identifier
            from headless_login.codex.pending.store import PendingAttempts

            with PendingAttempts.opened(self._options.home) as pending:
                pending.check(identifier(self._attempt))

    @contextmanager
    def until_answered(self) -> Iterator[None]:
        """Keep it if the wait ends by a time-out or a signal, and forget it after Ctrl-C."""
        try:
            yield
        except (TimedOut, Terminated) as ended:
            is_dead = isinstance(ended, TimedOut) and ended.error == "device_code_expired"
            if not self.is_answered and not is_dead:
                if self.is_offered():
                    self.keep()
                self._keep_code()
                self.mark(ended)
            raise
        except (KeyboardInterrupt, Cancelled):
            self.forget()
            raise

    def unanswered(self, instead_of: HeadlessLoginError) -> HeadlessLoginError:
        """Keep it, as nothing can be pasted here; returns what to raise."""
        self.keep()
        self.mark(instead_of)
        return instead_of

    def complete(
        self,
        grant: Grant | Tokens,
        rules: Rules,
        *,
        is_pasted: bool,
        confirm: Callable[[Identity], bool] | None = None,
    ) -> SignedIn:
        """Finish it as `login finish` does; raises as that. `confirm` is that of `complete`."""
        from headless_login.commands.finish import finish_kept

        options = self._options
        try:
            return finish_kept(
                self._attempt,
                grant,
                options.home,
                options.destination,
                rules,
                self._context,
                is_pasted=is_pasted,
                confirm=confirm,
            )
        except HeadlessLoginError as error:
            if error.pending:
                self.mark(error)
            raise
