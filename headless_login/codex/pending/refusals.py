"""Why there is no pending sign-in to be finished: each reason with its own sentence.

They are rejected answers: another one, to a sign-in that is still pending, may be accepted.
"""

from __future__ import annotations

from headless_login.errors import RejectedAnswer

_BEGIN = "headless-login login start"


def nothing(folder: str) -> RejectedAnswer:
    """Nobody has begun anything here."""
    return _refused(
        f"No sign-in is pending in {folder}.",
        f"Begin one: {_BEGIN} (the same user, machine and Codex folder have to finish it).",
    )


def unknown() -> RejectedAnswer:
    """The answer's state is none that is known here."""
    return _refused(
        "This answer belongs to no sign-in that was begun here.",
        f"Finish it where it was begun (--codex-home names the folder), or begin anew: {_BEGIN}",
    )


def used() -> RejectedAnswer:
    """The sign-in was finished, or refused by the issuer, before."""
    return _refused(
        "This sign-in is used up: an earlier call has had its answer judged by the issuer.",
        f"See: headless-login login status. To sign in once more, begin anew: {_BEGIN}",
    )


def forgotten() -> RejectedAnswer:
    """It was thrown away while somebody was finishing it."""
    return _refused(
        "This sign-in was forgotten meanwhile: `headless-login logout` has thrown it away.",
        f"Begin anew if that was not meant: {_BEGIN}",
    )


def expired() -> RejectedAnswer:
    """Its time was over before it was finished."""
    return _refused("This sign-in has expired.", f"Begin anew and finish in time: {_BEGIN}")


def damaged() -> RejectedAnswer:
    """Its file is not what was written."""
    return _refused(
        "The file of this pending sign-in is damaged or was changed, so it is not used.",
        f"Begin anew: {_BEGIN}",
    )


def exposed() -> RejectedAnswer:
    """Its file has not been private."""
    return _refused(
        "Other users could read or change the file of this pending sign-in, so it is not used.",
        f"Begin anew: {_BEGIN}",
    )


def foreign(what: str) -> RejectedAnswer:
    """Somebody or something else began it: `what` says who, where or when."""
    return _refused(
        f"This sign-in was begun {what}, so it is not finished here.",
        f"Finish it there, or begin anew: {_BEGIN}",
    )


def busy() -> RejectedAnswer:
    """Another process has it in hand."""
    return _refused(
        "Another call is finishing this sign-in at this moment.",
        "Wait for that one; then see: headless-login login status",
    )


def _refused(message: str, hint: str) -> RejectedAnswer:
    return RejectedAnswer("no_pending_login", message, hint)
