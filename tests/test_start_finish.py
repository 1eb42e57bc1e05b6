"""`login start` and `login finish` from outside: two processes, one sign-in."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headless_login.practice.issuer import Answer
from headless_login.practice.person import approve
from headless_login.practice.wire import json_answer, text_answer
from tests.support.machine import has_mode, require_root, umask
from tests.support.program import COMMAND, PROMPT, Outcome, assert_ended, at_once, event_in, url_in
from tests.support.stored_files import OLD
from tests.support.two_calls import FINISH, LOST, PENDING, SIGNED_IN, START, TwoCalls

PASTE = ("login", "--paste-redirect")
ESCAPED = ("state=", "st%61te=")  # which is the same name to whoever decodes it
UNKNOWN = "belongs to no sign-in"


@pytest.mark.parametrize("name", ESCAPED)
def test_a_sign_in_in_two_calls(name: str, calls: TwoCalls) -> None:
    """The address is the first line, the answer finishes, and the file is Codex's own form."""
    started = assert_ended(calls.run(*START), 0)
    url = started.out.splitlines()[0]
    assert url == url_in(started.out)
    assert calls.finish(approve(url).replace("state=", name)).exit_code == 0
    written = json.loads(calls.auth_file.read_text())
    assert written["auth_mode"] == "chatgpt"
    assert written["tokens"]["oauth_provenance"]["issuer"] == calls.issuer.issuer
    assert not calls.records
    assert calls.exchanges == 1


def test_what_is_pending_is_nobody_elses(calls: TwoCalls) -> None:
    """Folder 0700, file 0600, whatever the umask; and Codex meets neither."""
    with umask(0):
        calls.begin()
    (record,) = calls.records
    assert has_mode(record, 0o600)
    assert has_mode(record.parent, 0o700)
    assert [path.name for path in calls.home.iterdir()] == [PENDING]


def test_several_are_pending_and_each_answer_finds_its_own(calls: TwoCalls) -> None:
    """In any order, and the others stay."""
    answers = [calls.answered() for _ in range(3)]
    for left, number in ((2, 1), (1, 2), (0, 0)):
        assert calls.finish(answers[number]).exit_code == 0
        assert len(calls.records) == left
    assert calls.exchanges == 3


@pytest.mark.parametrize(
    "line",
    [
        '"$0" login finish "$ADDRESS"',
        'echo "$ADDRESS" | "$0" login finish -',
        'echo "$ADDRESS" | "$0" login finish',
        '"$0" login finish - <<< "$ADDRESS"',
        r'printf "> <%s\r\n> %s>\n" "${ADDRESS:0:90}" "${ADDRESS:90}" > f; "$0" login finish < f',
    ],
)
def test_the_ways_in_for_an_answer(line: str, tmp_path: Path, calls: TwoCalls) -> None:
    """As an argument, on standard input with and without `-`, here, and from a quoted mail."""
    bash = ("bash", "-c", f"cd {tmp_path}; {line}", COMMAND)
    calls.environ["ADDRESS"] = calls.answered()
    with calls.piped(command=bash) as piped:
        assert_ended(piped.finish(), 0)


def test_an_address_that_a_shell_has_cut(calls: TwoCalls) -> None:
    """What an unquoted `&` leaves is named, and the sign-in goes on."""
    answer = calls.answered()
    outcome = calls.run(*FINISH, answer.partition("&")[0])
    assert_ended(outcome, 3, "If a shell cut the address at an &", "login finish -")
    assert calls.finish(answer).exit_code == 0
    assert calls.auth_file.exists()


REJECTED: dict[str, Callable[[str], str]] = {
    "not the address of the page": lambda _: "hello",
    "That is the address to open": lambda _: "",  # the one that was printed, in place of nothing
    UNKNOWN: lambda answer: answer.replace("state=", "state=A"),
    "more than once": lambda answer: f"{answer}&code=ac_another_code_of_20",
    "another port": lambda answer: answer.replace(":1455", ":1456"),
    "another authorization server": lambda answer: f"{answer}&iss=https%3A%2F%2Fevil.example",
}


@pytest.mark.parametrize("phrase", REJECTED)
def test_a_rejected_answer_uses_nothing_up(phrase: str, calls: TwoCalls) -> None:
    """Exit 3, the reason, the old file byte for byte; and then the right answer is taken."""
    calls.auth_file.write_bytes(OLD)
    url = calls.begin()
    answer = approve(url)
    outcome = assert_ended(calls.finish(REJECTED[phrase](answer) or url), 3, phrase)
    assert ("The sign-in stays pending." in outcome.err) is (phrase != UNKNOWN)
    assert calls.auth_file.read_bytes() == OLD
    assert calls.exchanges == 0
    assert_ended(calls.finish(answer), 0)


def test_used_is_used(calls: TwoCalls) -> None:
    """The second call says so, and asks nobody."""
    answer = calls.answered()
    assert calls.finish(answer).exit_code == 0
    for words in ([*FINISH, "-"], [*FINISH, answer], [*FINISH]):
        assert_ended(calls.run(*words, stdin=answer), 3, "used up")
    assert calls.exchanges == 1


@pytest.mark.parametrize("name", ESCAPED)
def test_the_persons_refusal_uses_it_up(name: str, calls: TwoCalls) -> None:
    """`access_denied` with this sign-in's state ends it; nothing is exchanged."""
    denied = approve(calls.begin(), decision="deny").replace("state=", name)
    assert_ended(calls.finish(denied), 3, "denied")
    assert "used up" in calls.finish(denied).err
    assert calls.exchanges == 0


def test_nothing_is_pending(tmp_path: Path, calls: TwoCalls) -> None:
    """Said at once, where no folder is, too; and none is made for it."""
    assert assert_ended(calls.run(*FINISH), 3, "No sign-in is pending").out == ""
    assert not list(calls.home.iterdir())
    with calls.piped(*FINISH, "-") as piped:  # and no input is waited for
        assert piped.process.wait(20) == 3
    assert_ended(calls.run(*FINISH, "--codex-home", str(tmp_path / "missing")), 3)
    assert not (tmp_path / "missing").exists()


def test_another_folders_sign_in_is_unknown(tmp_path: Path, calls: TwoCalls) -> None:
    """The sentence is about the answer that came, whether anything is pending here or not."""
    there = ("--codex-home", str(tmp_path / "other"))
    url = calls.begin(*there)
    ours, foreign = calls.answered(), approve(url)
    assert_ended(calls.finish(foreign), 3, f"{UNKNOWN} that was started here")
    assert_ended(calls.finish(ours), 0)
    assert_ended(calls.finish(foreign), 3, f"{UNKNOWN} that was started here")
    assert_ended(calls.finish(url), 3, "That is the address to open")
    assert_ended(calls.finish("hello"), 3, "used up")
    assert calls.finish(foreign, *there).exit_code == 0


UNANSWERED = {
    "busy": text_answer(503, "upstream"),
    "timed out": text_answer(408, ""),
    "passing": json_answer(400, {"error": "temporarily_unavailable"}),
    "too many": json_answer(429, {"error": "slow"}),
    "challenge": Answer(403, b"<html>", (("cf-mitigated", "challenge"),)),
    "country": json_answer(403, {"error": {"code": "unsupported_country_region_territory"}}),
    "dropped": Answer(-1),
}


@pytest.mark.parametrize("case", UNANSWERED)
def test_an_unanswered_exchange_uses_nothing_up(case: str, calls: TwoCalls) -> None:
    """Exit 4, the message says that it stays pending, and the same command finishes later."""
    calls.issuer.tokens = UNANSWERED[case]
    answer = calls.answered()
    outcome = calls.finish(answer)
    assert_ended(outcome, 4, "stays pending: then run the same command again")
    assert "new sign-in" not in outcome.err
    calls.issuer.tokens = None
    assert calls.finish(answer).exit_code == 0


@pytest.mark.parametrize(
    ("status", "told", "exit_code"),
    [(200, {"id_token": "x", "access_token": "x", "refresh_token": "x"}, 3), (200, {}, 4)],
)
def test_what_the_issuer_has_judged_is_used_up(
    status: int, told: dict[str, str], exit_code: int, calls: TwoCalls
) -> None:
    """Tokens that are not to be believed, or nonsense in their place: a code works once."""
    calls.issuer.tokens = json_answer(status, told)
    answer = calls.answered()
    assert_ended(calls.finish(answer), exit_code)
    assert_ended(calls.finish(answer), 3, "used up")
    assert calls.exchanges == 1


def test_what_cannot_be_stored_is_not_exchanged(calls: TwoCalls) -> None:
    """The disk is tried before the code is spent; mended, the same command finishes."""
    answer = calls.answered()
    calls.auth_file.mkdir()
    assert_ended(calls.finish(answer), 6, "it is a folder")
    assert calls.exchanges == 0
    calls.auth_file.rmdir()
    assert calls.finish(answer).exit_code == 0


def test_ten_at_once_are_one_exchange(calls: TwoCalls) -> None:
    """Of many calls with the same answer one signs in; every other one says why it does not."""
    answer = calls.answered()
    outcomes = at_once(10, lambda: calls.finish(answer, "--json"))
    assert sorted(map(event_in, outcomes)) == [SIGNED_IN, *[LOST] * 9]
    for outcome in outcomes:
        said = "Another call is finishing" in outcome.err or "used up" in outcome.err
        assert said is (outcome.exit_code == 3)
    assert calls.exchanges == 1


def test_on_a_terminal_it_is_asked_for(calls: TwoCalls) -> None:
    """The question comes again after a wrong paste; nothing is echoed."""
    answer = calls.answered()
    with calls.terminal(*FINISH) as terminal:
        terminal.read_until(PROMPT)
        terminal.paste("hello\r", marked=False)
        terminal.read_until("(?s)not the address of the page.*" + PROMPT)
        terminal.paste(answer.replace("state=", "state=A") + "\r", marked=False)
        terminal.read_until(f"(?s){UNKNOWN}.*{PROMPT}")
        terminal.paste(answer)
        assert terminal.wait() == 0
        assert "code=" not in terminal.text
    assert calls.auth_file.exists()


def test_ctrl_c_at_the_question(calls: TwoCalls) -> None:
    """130, the terminal as it was, and the sign-in still pending."""
    calls.begin()
    with calls.terminal(*FINISH) as terminal:
        terminal.read_until(PROMPT)
        terminal.send("\x03")
        assert terminal.wait() == 130
        assert terminal.attributes == terminal.attributes_before
    assert len(calls.records) == 1


def test_start_on_a_terminal_shows_the_code_of_the_address(calls: TwoCalls) -> None:
    """A person may run it, too: address first, QR code below, the command last."""
    with calls.terminal(*START, columns=100, rows=60) as terminal:
        assert terminal.wait() == 0
        lines = [line for line in terminal.lines if line]
    assert lines[0].startswith("This signs in at 127.0.0.1:")
    assert lines[1].startswith("http")
    assert any("▀" in line for line in lines)
    assert any("login finish -" in line for line in lines[-3:])


def test_logout_forgets_what_is_pending(calls: TwoCalls) -> None:
    """Whoever signs out does not want to be signed in by an answer that comes late."""
    answer = calls.answered()
    assert_ended(calls.run("logout"), 0, "forgotten")
    assert not calls.records
    assert calls.finish(answer).exit_code == 3


def test_paste_without_input_leaves_it_pending(calls: TwoCalls) -> None:
    """`--paste-redirect` without terminal and input: exit 2, and the address still works."""
    outcome = assert_ended(calls.run(*PASTE), 2, "login start", "login finish")
    assert calls.finish(approve(url_in(outcome.err))).exit_code == 0
    assert calls.auth_file.exists()


def test_paste_from_a_file_finishes_what_start_began(tmp_path: Path, calls: TwoCalls) -> None:
    """`login --paste-redirect < file`: a file cannot know this process's own address."""
    (tmp_path / "answer").write_text(calls.answered())
    with open(tmp_path / "answer") as file, calls.piped(*PASTE, stdin=file) as piped:
        assert_ended(piped.finish(), 0, "finishing that one")
    assert calls.exchanges == 1


# As a program sees the time of day after somebody has set the clock: nothing else is changed.
AT = """
import os, sys, time
shift, real = float(sys.argv[1]), time.time
time.time = lambda: real() + shift
from headless_login.cli import main
os._exit(main(sys.argv[2:]))
"""


def _later(seconds: int, calls: TwoCalls, *words: str) -> Outcome:
    """Run the command on a machine that has been running for so much longer (time namespace)."""
    require_root("unshare")
    shifted = ("unshare", "--time", "--boottime", str(seconds), "--fork")
    with calls.piped(command=(*shifted, "true")) as probe:
        if probe.process.wait(20):
            pytest.skip("no time namespaces here")
    with calls.piped(*words, command=(*shifted, COMMAND)) as piped:
        return piped.finish()


def test_a_quarter_of_an_hour_later(calls: TwoCalls) -> None:
    """After 880 seconds it is taken; after 920 it has expired, and its secrets are gone."""
    answer, late = calls.answered(), calls.answered()
    assert_ended(_later(880, calls, *FINISH, answer), 0)
    assert_ended(_later(920, calls, *FINISH, late), 3, "This sign-in has expired")
    assert not calls.records
    assert_ended(calls.finish(late), 3, "This sign-in has expired")


@pytest.mark.parametrize("days", [-400, -0.01, 0.01, 400])
@pytest.mark.parametrize("late", [False, True], ids=["in time", "too late"])
def test_the_time_of_day_decides_nothing(late: bool, days: float, calls: TwoCalls) -> None:
    """Set back it revives nothing, set forward it ends nothing."""
    calls.issuer.tokens = text_answer(503, "busy")
    answer = calls.answered(*(["--timeout", "0.001"] if late else []))
    shifted = (sys.executable, "-c", AT, str(days * 86400))
    with calls.piped(*FINISH, answer, command=shifted) as piped:
        outcome = piped.finish()
    assert_ended(outcome, 3 if late else 4, "has expired" if late else "stays pending")
    assert len(calls.records) == (0 if late else 1)
