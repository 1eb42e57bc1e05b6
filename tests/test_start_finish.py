"""`login start` and `login finish` from outside: two processes, one sign-in."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from headless_login.practice.issuer import Answer, PracticeIssuer
from headless_login.practice.person import approve
from headless_login.practice.wire import json_answer, text_answer
from tests.support.machine import umask
from tests.support.misbehaving import AnsweringIssuer
from tests.support.program import COMMAND, PROMPT, Piped, Terminal, environment, run, url_in
from tests.support.stored_files import OLD
from tests.support.two_calls import (
    FINISH,
    LOST,
    PENDING,
    SIGNED_IN,
    START,
    answered,
    at_once,
    begin,
    event_in,
    exchanges,
    finish,
    records,
)

ESCAPED = ("state=", "st%61te=")  # which is the same name to whoever decodes it
UNKNOWN = "belongs to no sign-in"


@pytest.mark.parametrize("name", ESCAPED)
def test_a_sign_in_in_two_calls(
    name: str, environ: dict[str, str], issuer: PracticeIssuer, codex_home: Path
) -> None:
    """The address is the first line, the answer finishes, and the file is Codex's own form."""
    started = run(*START, environ=environ)
    assert started.exit_code == 0
    url = started.out.splitlines()[0]
    assert url == url_in(started.out)
    assert finish(environ, approve(url).replace("state=", name)).exit_code == 0
    written = json.loads((codex_home / "auth.json").read_text())
    assert written["auth_mode"] == "chatgpt"
    assert written["tokens"]["oauth_provenance"]["issuer"] == issuer.issuer
    assert not records(codex_home)
    assert exchanges(issuer) == 1


def test_what_is_pending_is_nobody_elses(environ: dict[str, str], codex_home: Path) -> None:
    """Folder 0700, file 0600, whatever the umask; and Codex meets neither."""
    with umask(0):
        begin(environ)
    (record,) = records(codex_home)
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert stat.S_IMODE(record.parent.stat().st_mode) == 0o700
    assert [path.name for path in codex_home.iterdir()] == [PENDING]


def test_several_are_pending_and_each_answer_finds_its_own(
    environ: dict[str, str], issuer: PracticeIssuer, codex_home: Path
) -> None:
    """In any order, and the others stay."""
    answers = [answered(environ) for _ in range(3)]
    for left, number in ((2, 1), (1, 2), (0, 0)):
        assert finish(environ, answers[number]).exit_code == 0
        assert len(records(codex_home)) == left
    assert exchanges(issuer) == 3


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
def test_the_ways_in_for_an_answer(line: str, environ: dict[str, str], tmp_path: Path) -> None:
    """As an argument, on standard input with and without `-`, here, and from a quoted mail."""
    command = ["bash", "-c", line, COMMAND]
    done = subprocess.run(
        command,
        env=environ | {"ADDRESS": answered(environ)},
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_an_address_that_a_shell_has_cut(environ: dict[str, str], codex_home: Path) -> None:
    """What an unquoted `&` leaves is named, and the sign-in goes on."""
    answer = answered(environ)
    cut = run(*FINISH, answer.partition("&")[0], environ=environ)
    assert cut.exit_code == 3
    assert "If a shell cut the address at an &" in cut.err
    assert "login finish -" in cut.err
    assert finish(environ, answer).exit_code == 0
    assert (codex_home / "auth.json").exists()


STAYS = "The sign-in stays pending."
REJECTED: dict[str, Callable[[str], str]] = {
    "not the address of the page": lambda _: "hello",
    UNKNOWN: lambda answer: answer.replace("state=", "state=A"),
    "more than once": lambda answer: answer + "&code=ac_another_code_of_20",
    "another port": lambda answer: answer.replace(":1455", ":1456"),
    "another authorization server": lambda answer: answer + "&iss=https%3A%2F%2Fevil.example",
}


@pytest.mark.parametrize("phrase", REJECTED)
def test_a_rejected_answer_uses_nothing_up(
    phrase: str, environ: dict[str, str], issuer: PracticeIssuer, codex_home: Path
) -> None:
    """Exit 3, the reason, the old file byte for byte; and then the right answer is taken."""
    (codex_home / "auth.json").write_bytes(OLD)
    answer = answered(environ)
    outcome = finish(environ, REJECTED[phrase](answer))
    assert outcome.exit_code == 3
    assert phrase in outcome.err
    assert (STAYS in outcome.err) is (phrase != UNKNOWN)
    assert (codex_home / "auth.json").read_bytes() == OLD
    assert exchanges(issuer) == 0
    assert finish(environ, answer).exit_code == 0


def test_the_address_to_open_is_not_the_answer(environ: dict[str, str]) -> None:
    """It carries the state of a pending sign-in, and is named for what it is."""
    outcome = finish(environ, begin(environ))
    assert outcome.exit_code == 3
    assert "That is the address to open" in outcome.err


def test_used_is_used(environ: dict[str, str], issuer: PracticeIssuer) -> None:
    """The second call says so, and asks nobody."""
    answer = answered(environ)
    assert finish(environ, answer).exit_code == 0
    for words in ([*FINISH, "-"], [*FINISH, answer], [*FINISH]):
        again = run(*words, environ=environ, stdin=answer)
        assert again.exit_code == 3
        assert "used up" in again.err
    assert exchanges(issuer) == 1


@pytest.mark.parametrize("name", ESCAPED)
def test_the_persons_refusal_uses_it_up(
    name: str, environ: dict[str, str], issuer: PracticeIssuer
) -> None:
    """`access_denied` with this sign-in's state ends it; nothing is exchanged."""
    denied = approve(begin(environ), decision="deny").replace("state=", name)
    outcome = finish(environ, denied)
    assert outcome.exit_code == 3
    assert "denied" in outcome.err
    assert "used up" in finish(environ, denied).err
    assert exchanges(issuer) == 0


def test_nothing_is_pending(environ: dict[str, str], codex_home: Path, tmp_path: Path) -> None:
    """Said at once, where no folder is, too; and none is made for it."""
    outcome = run(*FINISH, environ=environ)
    assert (outcome.exit_code, outcome.out) == (3, "")
    assert "No sign-in is pending" in outcome.err
    assert not list(codex_home.iterdir())
    with Piped(*FINISH, "-", environ=environ) as piped:  # and no input is waited for
        assert piped.process.wait(20) == 3
    missing = run(*FINISH, "--codex-home", str(tmp_path / "missing"), environ=environ)
    assert missing.exit_code == 3
    assert not (tmp_path / "missing").exists()


def test_another_folders_sign_in_is_unknown(environ: dict[str, str], tmp_path: Path) -> None:
    """The sentence is about the answer that came, whether anything is pending here or not."""
    there = ("--codex-home", str(tmp_path / "other"))
    url = begin(environ, *there)
    ours, foreign = answered(environ), approve(url)
    outcome = finish(environ, foreign)
    assert outcome.exit_code == 3
    assert f"{UNKNOWN} that was started here" in outcome.err
    assert finish(environ, ours).exit_code == 0
    assert f"{UNKNOWN} that was started here" in finish(environ, foreign).err
    assert "That is the address to open" in finish(environ, url).err
    assert "used up" in finish(environ, "hello").err
    assert finish(environ, foreign, *there).exit_code == 0


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
def test_an_unanswered_exchange_uses_nothing_up(case: str, codex_home: Path) -> None:
    """Exit 4, the message says that it stays pending, and the same command finishes later."""
    with AnsweringIssuer(UNANSWERED[case]) as issuer:
        environ = environment(codex_home, issuer.issuer)
        answer = answered(environ)
        outcome = finish(environ, answer)
        assert outcome.exit_code == 4, outcome.err
        assert "stays pending: then run the same command again" in outcome.err
        assert "new sign-in" not in outcome.err
        issuer.tokens = None
        assert finish(environ, answer).exit_code == 0


REFUSED, NONSENSE = {"error": "invalid_grant"}, {"access_token": "x"}


@pytest.mark.parametrize(("told", "exit_code"), [((400, REFUSED), 3), ((200, NONSENSE), 4)])
def test_what_the_issuer_has_judged_is_used_up(
    told: tuple[int, dict[str, str]], exit_code: int, codex_home: Path
) -> None:
    """A refusal or nonsense in place of tokens: a code works once."""
    with AnsweringIssuer(json_answer(*told)) as issuer:
        environ = environment(codex_home, issuer.issuer)
        answer = answered(environ)
        assert finish(environ, answer).exit_code == exit_code
        assert "used up" in finish(environ, answer).err
        assert exchanges(issuer) == 1


def test_what_cannot_be_stored_is_not_exchanged(
    environ: dict[str, str], codex_home: Path, issuer: PracticeIssuer
) -> None:
    """The disk is tried before the code is spent; mended, the same command finishes."""
    answer = answered(environ)
    (codex_home / "auth.json").mkdir()
    outcome = finish(environ, answer)
    assert outcome.exit_code == 6
    assert "it is a folder" in outcome.err
    assert exchanges(issuer) == 0
    (codex_home / "auth.json").rmdir()
    assert finish(environ, answer).exit_code == 0


def test_ten_at_once_are_one_exchange(environ: dict[str, str], issuer: PracticeIssuer) -> None:
    """Of many calls with the same answer one signs in; every other one says why it does not."""
    answer = answered(environ)
    outcomes = at_once(10, lambda: finish(environ, answer, "--json"))
    assert sorted(map(event_in, outcomes)) == [SIGNED_IN, *[LOST] * 9]
    for outcome in outcomes:
        said = "Another call is finishing" in outcome.err or "used up" in outcome.err
        assert said is (outcome.exit_code == 3)
    assert exchanges(issuer) == 1


def test_on_a_terminal_it_is_asked_for(environ: dict[str, str], codex_home: Path) -> None:
    """The question comes again after a wrong paste; nothing is echoed."""
    answer = answered(environ)
    with Terminal(*FINISH, environ=environ) as terminal:
        terminal.read_until(PROMPT)
        terminal.paste("hello\r", marked=False)
        terminal.read_until("(?s)not the address of the page.*" + PROMPT)
        terminal.paste(answer.replace("state=", "state=A") + "\r", marked=False)
        terminal.read_until(f"(?s){UNKNOWN}.*{PROMPT}")
        terminal.paste(answer)
        assert terminal.wait() == 0
        assert "code=" not in terminal.text
    assert (codex_home / "auth.json").exists()


def test_ctrl_c_at_the_question(environ: dict[str, str], codex_home: Path) -> None:
    """130, the terminal as it was, and the sign-in still pending."""
    begin(environ)
    with Terminal(*FINISH, environ=environ) as terminal:
        terminal.read_until(PROMPT)
        terminal.send("\x03")
        assert terminal.wait() == 130
        assert terminal.attributes == terminal.attributes_before
    assert len(records(codex_home)) == 1


def test_start_on_a_terminal_shows_the_code_of_the_address(environ: dict[str, str]) -> None:
    """A person may run it, too: address first, QR code below, the command last."""
    with Terminal(*START, environ=environ, columns=100, rows=60) as terminal:
        assert terminal.wait() == 0
        lines = [line for line in terminal.lines if line]
    assert lines[0].startswith("http")
    assert any("▀" in line for line in lines)
    assert any(line.startswith("echo 'ADDRESS' | ") for line in lines[-3:])


def test_logout_forgets_what_is_pending(environ: dict[str, str], codex_home: Path) -> None:
    """Whoever signs out does not want to be signed in by an answer that comes late."""
    answer = answered(environ)
    outcome = run("logout", environ=environ)
    assert outcome.exit_code == 0
    assert "forgotten" in outcome.err
    assert not records(codex_home)
    assert finish(environ, answer).exit_code == 3


def test_paste_without_input_leaves_it_pending(environ: dict[str, str], codex_home: Path) -> None:
    """`--paste-redirect` without terminal and input: exit 2, and the address still works."""
    outcome = run("login", "--paste-redirect", environ=environ)
    assert outcome.exit_code == 2
    assert "login start" in outcome.err
    assert "login finish" in outcome.err
    assert finish(environ, approve(url_in(outcome.err))).exit_code == 0
    assert (codex_home / "auth.json").exists()


def test_paste_from_a_file_finishes_what_start_began(
    environ: dict[str, str], issuer: PracticeIssuer, tmp_path: Path
) -> None:
    """`login --paste-redirect < file`: a file cannot know this process's own address."""
    (tmp_path / "answer").write_text(answered(environ))
    with (
        open(tmp_path / "answer") as file,
        Piped("login", "--paste-redirect", environ=environ, stdin=file) as piped,
    ):
        outcome = piped.finish()
    assert outcome.exit_code == 0, outcome.err
    assert "finishing that one" in outcome.err
    assert exchanges(issuer) == 1
