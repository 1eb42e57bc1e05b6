"""Several ways to win a grant at once, of which the first one wins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from headless_login.errors import HeadlessLoginError, RejectedAnswer, TimedOut
from headless_login.flows.page import Page
from headless_login.oauth.values import Grant, Tokens

Way = TypeVar("Way")


class Listener(Protocol):
    """A way by which an answer comes to a page, that is told how it ended."""

    async def wait(self) -> Grant:
        """Return the grant that comes; may be cancelled, and be called again."""

    async def conclude(self, outcome: Page) -> None:
        """Show how it ended to whoever brought an answer, then close."""

    async def close(self) -> None:
        """Stop listening, and drop every connection."""


async def first_grant(
    ways: Mapping[Way, Coroutine[Any, Any, Grant | Tokens | None]], timeout: float | None
) -> tuple[Way, Grant | Tokens]:
    """Return the way that wins first and its grant, after every other way has been ended.

    A way that returns None has nothing to offer, and the others go on. Where two are ready at the
    same moment, the one that is named first counts. Whatever a way raises ends them all.

    Raises:
        TimedOut: none has won within `timeout` seconds, if it is not None.
        NoWayLeft: none can win any more.
    """
    tasks = {asyncio.create_task(coroutine): way for way, coroutine in ways.items()}
    try:
        async with asyncio.timeout(timeout):
            return await _first(tasks)
    except TimeoutError:
        pass
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    raise TimedOut("Timed out waiting for the sign-in.")


class NoWayLeft(Exception):
    """Every way has ended without an answer."""


async def _first(
    tasks: Mapping[asyncio.Task[Grant | Tokens | None], Way],
) -> tuple[Way, Grant | Tokens]:
    running = set(tasks)
    while running:
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in tasks if task in done]
        # A grant before a refusal: it is good whatever else has happened.
        for task in sorted(ended, key=lambda task: task.exception() is not None):
            if (grant := task.result()) is not None:
                return tasks[task], grant
    raise NoWayLeft


class Judge(Protocol):
    """What tells answers from everything else: an attempt, or several."""

    def accept(self, text: str) -> Grant:
        """Judge a pasted answer; raises as `AuthorizationRequest.accept`."""


class PastedAnswers:
    """Judges what is pasted, each text once: whether it is enough, and then what it is worth."""

    def __init__(self, judge: Judge) -> None:
        """`judge` is asked once for each text in a row."""
        self._judge = judge
        self._text: str | None = None
        self._outcome: Grant | HeadlessLoginError | None = None

    def outcome(self, text: str) -> Grant | HeadlessLoginError:
        """Return the grant, or why there is none."""
        bare = text.strip()
        if self._outcome is None or bare != self._text:
            self._text = bare
            try:
                self._outcome = self._judge.accept(bare)
            except HeadlessLoginError as error:
                self._outcome = error.with_traceback(None)  # its frames hold the text
        return self._outcome

    def settles(self, text: str) -> bool:
        """Return whether a text decides the sign-in, so that no more need be waited for."""
        return not isinstance(self.outcome(text), RejectedAnswer)


async def win_by_paste(
    pasted: PastedAnswers,
    ask: Callable[[], Awaitable[str | None]],
    reject: Callable[[RejectedAnswer], None],
) -> Grant | None:
    """Return the grant of the first acceptable answer, or None if no text can come.

    `reject` may raise to end the asking.

    Raises:
        SignInRefused: the answer is a sign-in's own, and a refusal.
    """
    while (text := await ask()) is not None:
        outcome = pasted.outcome(text)
        if isinstance(outcome, RejectedAnswer):
            reject(outcome)
        elif isinstance(outcome, HeadlessLoginError):
            raise outcome
        else:
            return outcome
    return None
