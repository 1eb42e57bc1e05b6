"""The race itself: one wins, the others are ended, and nothing runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from headless_login.errors import SignInRefused, TimedOut
from headless_login.flows.race import NoWayLeft, first_grant
from headless_login.oauth.values import Grant

BROWSER = Grant("ac_browser", "v", "http://127.0.0.1:1455/auth/callback")
PASTE = Grant("ac_paste", "v", "http://127.0.0.1:1455/auth/callback")
Way = Coroutine[Any, Any, Grant | None]


class Course:
    """Ways that do as told and remember how they ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.start = asyncio.Event()

    async def winning(self, grant: Grant) -> Grant:
        """Win when the start is given."""
        await self.start.wait()
        return grant

    async def refused(self) -> Grant:
        """Bring the issuer's No when the start is given."""
        await self.start.wait()
        raise SignInRefused("access_denied", "No.")

    async def endless(self, name: str) -> Grant:
        """Wait for ever, and take a moment to tidy up."""
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.ended.append(name)
        raise AssertionError

    async def empty(self) -> None:
        """Have nothing to offer."""


def _run(
    make: Callable[[Course], Mapping[str, Way]], timeout: float = 10, start: bool = True
) -> tuple[tuple[str, Grant] | BaseException, Course]:
    """Return the result or what was raised; fails if a task is left."""

    async def race() -> tuple[tuple[str, Grant] | BaseException, Course]:
        course = Course()
        if start:
            asyncio.get_running_loop().call_soon(course.start.set)
        result: tuple[str, Grant] | BaseException
        try:
            result = await first_grant(make(course), timeout)
        except BaseException as error:  # noqa: BLE001
            result = error
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result, course

    return asyncio.run(race())


def test_the_winner_is_told_and_the_others_have_ended() -> None:
    """When it returns, whatever the losers held is free."""
    result, course = _run(
        lambda course: {
            "terminal": course.endless("terminal"),
            "browser": course.winning(BROWSER),
            "pipe": course.endless("pipe"),
        }
    )
    assert result == ("browser", BROWSER)
    assert course.ended == ["terminal", "pipe"]


@pytest.mark.parametrize("order", [("browser", "paste"), ("paste", "browser")])
def test_of_two_at_the_same_moment_the_first_named_counts(order: tuple[str, str]) -> None:
    """Exactly one grant comes out, and always the same one."""
    grants = {"browser": BROWSER, "paste": PASTE}
    result, _ = _run(lambda course: {name: course.winning(grants[name]) for name in order})
    assert result == (order[0], grants[order[0]])


@pytest.mark.parametrize("first", [True, False])
def test_a_grant_counts_before_a_refusal_of_the_same_moment(first: bool) -> None:
    """A good answer is good, whatever else was said at that moment."""

    def ways(course: Course) -> dict[str, Way]:
        made: dict[str, Way] = {"refused": course.refused(), "paste": course.winning(PASTE)}
        return made if first else dict(reversed(made.items()))

    assert _run(ways)[0] == ("paste", PASTE)


def test_a_refusal_ends_every_way() -> None:
    """The person said No in the browser: the terminal need not be asked any more."""
    result, course = _run(
        lambda course: {"browser": course.refused(), "paste": course.endless("paste")}
    )
    assert isinstance(result, SignInRefused)
    assert course.ended == ["paste"]


def test_a_way_with_nothing_to_offer_does_not_end_the_others() -> None:
    """An empty pipe leaves the browser its time."""
    result, _ = _run(lambda course: {"pipe": course.empty(), "browser": course.winning(BROWSER)})
    assert result == ("browser", BROWSER)


def test_no_way_left() -> None:
    """Nobody can win any more: that is said at once and not waited for."""
    result, _ = _run(lambda course: {"pipe": course.empty(), "other": course.empty()})
    assert isinstance(result, NoWayLeft)


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_time_runs_out(timeout: float) -> None:
    """Then every way is ended, too."""
    result, course = _run(
        lambda course: {"browser": course.endless("browser"), "paste": course.endless("paste")},
        timeout,
    )
    assert isinstance(result, TimedOut)
    assert sorted(course.ended) in (["browser", "paste"], [])  # [] if none had even begun


def test_an_interrupted_race_ends_every_way() -> None:
    """Ctrl-C cancels the race from outside."""

    async def interrupt() -> list[str]:
        course = Course()
        ways = {name: course.endless(name) for name in ("browser", "paste")}
        race = asyncio.create_task(first_grant(ways, 10))
        await asyncio.sleep(0.01)
        race.cancel()
        with pytest.raises(asyncio.CancelledError):
            await race
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return course.ended

    assert asyncio.run(interrupt()) == ["browser", "paste"]
