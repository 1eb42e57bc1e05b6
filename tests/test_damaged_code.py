"""A pasted code that the issuer does not know: damaged, or older. The right one is still good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve, approve_device
from headless_login.practice.wire import json_answer
from tests.support.browsing import follow
from tests.support.program import Piped, Terminal, Variables, assert_ended, run
from tests.support.two_calls import FINISH, TwoCalls, exchanges

AGAIN = "Its code was damaged on the way"
BROKEN_UP = AGAIN.replace(" ", r"\s+")


def _damaged(address: str, by: str = "x") -> str:
    return address.replace("code=", f"code={by}")


@pytest.mark.parametrize("options", [(), ("--paste-redirect",)])
def test_a_person_is_asked_again(
    options: tuple[str, ...], environ: Variables, codex_home: Path, issuer: PracticeIssuer
) -> None:
    """As often as it takes; the address on the screen stays good, and nothing was written."""
    with Terminal("login", *options, environ=environ) as terminal:
        address = approve(terminal.read_question())
        for count in (1, 2):
            terminal.paste(_damaged(address, str(count)))
            terminal.read_until(f"(?s)({BROKEN_UP}.*goes\\s+on\\s+waiting.*){{{count}}}")
            assert not (codex_home / "auth.json").exists()
        terminal.paste(address)
        assert terminal.wait() == 0
    assert (codex_home / "auth.json").exists()
    assert exchanges(issuer) == 3


def test_the_browser_is_still_awaited(environ: Variables, codex_home: Path) -> None:
    """After a damaged paste the answer may come by the port, and the page says how it ended."""
    with Terminal("login", environ=environ) as terminal:
        address = approve(terminal.read_question())
        terminal.paste(_damaged(address))
        terminal.read_until(BROKEN_UP)
        page = follow(address)
        assert terminal.wait() == 0
    assert "<h1>Signed in" in page.text
    assert (codex_home / "auth.json").exists()


def test_a_pipe_ends_and_leaves_it_pending(environ: Variables, codex_home: Path) -> None:
    """Exit 3; the command that it names takes the right address."""
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        address = approve(piped.read_url())
        piped.write(_damaged(address) + "\n")
        assert_ended(piped.finish(), 3, AGAIN, "stays pending:")
    assert_ended(run(*FINISH, "-", environ=environ, stdin=address), 0)
    assert (codex_home / "auth.json").exists()


def test_finish_leaves_it_pending(calls: TwoCalls) -> None:
    """By argument and by input; the right address, of this browser or another one, finishes."""
    answer = calls.answered()
    assert_ended(calls.finish(_damaged(answer)), 3, AGAIN, "stays pending")
    failed = calls.finish(_damaged(answer), "--json")
    told = json.loads(failed.out.splitlines()[-1])
    assert (told["error"], told["pending"], told["exit_code"]) == ("invalid_grant", True, 3)
    assert_ended(calls.finish(answer), 0)
    assert_ended(calls.finish(answer), 3, "used up")


def test_a_code_that_nobody_pasted_is_used_up(calls: TwoCalls) -> None:
    """What a one-time code has won, and the issuer then refuses, cannot be had again."""
    page, code = calls.begin_code()
    approve_device(page, code)
    calls.issuer.tokens = json_answer(400, {"error": "invalid_grant"})
    assert_ended(calls.run(*FINISH), 3)
    assert_ended(calls.run(*FINISH, code), 3)
    assert calls.exchanges == 1
