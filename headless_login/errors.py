"""What can go wrong, sorted by what the person does about it.

    HeadlessLoginError
    ├── NotSignedIn        1  sign in
    ├── WrongUsage         2  fix the command
    ├── SignInRefused      3  start a new sign-in
    │   └── RejectedAnswer 3  paste another answer: the sign-in is still alive
    ├── IssuerTrouble      4  try later, or look at the network
    ├── TimedOut           5  again, or another way
    ├── LocalTrouble       6  mend this machine: port, disk, permissions
    └── Cancelled        130  nothing: another program on this machine asked for it

Each carries the word that programs read (`error`), one sentence for people (`message`) and,
where there is one, the way out (`hint`). None of them ever carries a secret.
"""

from __future__ import annotations


class HeadlessLoginError(Exception):
    """A failure with a word for programs, a sentence for people and an exit code."""

    exit_code = 1

    def __init__(self, error: str, message: str, hint: str = "") -> None:
        """Take the `error` word of the contract, one sentence, and what to do about it."""
        super().__init__(message)
        self.error = error
        self.message = message
        self.hint = hint


class NotSignedIn(HeadlessLoginError):
    """This machine holds no sign-in."""

    exit_code = 1


class WrongUsage(HeadlessLoginError):
    """The command cannot do what it was asked."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        """Take one sentence and the right command."""
        super().__init__("usage", message, hint)


class SignInRefused(HeadlessLoginError):
    """This attempt is over: denied by the person or the issuer, or not to be trusted."""

    exit_code = 3


class RejectedAnswer(SignInRefused):
    """A pasted or received answer was not accepted; the attempt itself goes on."""


class IssuerTrouble(HeadlessLoginError):
    """The issuer cannot be reached or answers nonsense."""

    exit_code = 4


class TimedOut(HeadlessLoginError):
    """Nobody answered in time."""

    exit_code = 5

    def __init__(self, message: str, hint: str = "", *, error: str = "timed_out") -> None:
        """Take one sentence and the way out."""
        super().__init__(error, message, hint)


class LocalTrouble(HeadlessLoginError):
    """This machine is in the way: port, disk or permissions."""

    exit_code = 6


class Cancelled(HeadlessLoginError):
    """Another program on this machine asked the sign-in to end, as Codex does for its port."""

    exit_code = 130

    def __init__(self) -> None:
        """Need nothing: there is one way to be cancelled."""
        super().__init__(
            "interrupted",
            "Another program on this machine asked this sign-in to end (GET /cancel).",
            "It is probably Codex, which signs in by the same port: finish there, or start again.",
        )


class Terminated(SystemExit):
    """SIGTERM arrived; it passes every `except Exception`.

    A SystemExit, because asyncio keeps whatever else is raised inside a task.
    """
