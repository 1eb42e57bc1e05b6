"""The race itself: one wins, the others are ended, and nothing runs on."""

from __future__ import annotations

import asyncio

import pytest

from headless_login.errors import SignInRefused, TimedOut
from headless_login.flows.race import NoWayLeft, first_grant
from headless_login.oauth.values import Grant

BROWSER = Grant("ac_browser", "v", "http://127.0.0.1:1455/auth/callback")
PASTE = Grant("ac_paste", "v", "http://127.0.0.1:1455/auth/callback")


class Course:
    """Ways that do as they are called once the start is given; remembers which were ended."""

    def __init__(self, names: str) -> None:
        """The names stand in a row, with blanks between."""
        self.ended: list[str] = []
        self.start = asyncio.Event()
        self.ways = {name: self._way(name) for name in names.split()}

    async def _way(self, name: str) -> Grant | None:
        if name in ("terminal", "pipe"):
            await self._wait_for_ever(name)
        if name == "empty":
            return None
        await self.start.wait()
        if name == "refused":
            raise SignInRefused("access_denied", "No.")
        return {"browser": BROWSER, "paste": PASTE}[name]

    async def _wait_for_ever(self, name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # a moment to tidy up
            self.ended.append(name)


def _run(
    names: str, timeout: float = 30, *, cancelled: bool = False
) -> tuple[tuple[str, Grant] | BaseException, list[str]]:
    """Return the result or what was raised, and what was ended; fails if a task is left."""

    async def race() -> tuple[tuple[str, Grant] | BaseException, list[str]]:
        course = Course(names)
        running: asyncio.Task[tuple[str, Grant]]
        running = asyncio.create_task(first_grant(course.ways, timeout))
        for _ in range(3):  # turns, until all wait
            await asyncio.sleep(0)
        course.start.set()
        if cancelled:
            running.cancel()
        (outcome,) = await asyncio.gather(running, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return outcome, course.ended

    return asyncio.run(race())


@pytest.mark.parametrize(
    ("names", "winner", "ended"),
    [
        ("terminal browser pipe", "browser", ["terminal", "pipe"]),
        ("browser paste", "browser", []),  # both at the same moment
        ("paste browser", "paste", []),
        ("refused paste", "paste", []),
        ("paste refused", "paste", []),
        ("empty browser", "browser", []),
    ],
)
def test_the_first_grant_wins(names: str, winner: str, ended: list[str]) -> None:
    """A grant counts before a refusal, else who is named first; then the others have ended."""
    grants = {"browser": BROWSER, "paste": PASTE}
    assert _run(names) == ((winner, grants[winner]), ended)


@pytest.mark.parametrize(
    ("names", "timeout", "cancelled", "raised", "ended"),
    [
        ("refused terminal", 30, False, SignInRefused, ["terminal"]),
        ("empty", 30, False, NoWayLeft, []),
        ("terminal pipe", 0.01, False, TimedOut, ["terminal", "pipe"]),
        ("terminal pipe", 0, False, TimedOut, ["terminal", "pipe"]),
        ("terminal pipe", 30, True, asyncio.CancelledError, ["terminal", "pipe"]),
    ],
    ids=["refused", "none left", "late", "late at once", "Ctrl-C"],
)
def test_without_a_grant_every_way_is_ended(
    names: str, timeout: float, cancelled: bool, raised: type[BaseException], ended: list[str]
) -> None:
    """Refused, late or interrupted; and where nobody can win any more, it is said at once."""
    outcome, course_ended = _run(names, timeout, cancelled=cancelled)
    assert isinstance(outcome, raised)
    assert course_ended == ended
