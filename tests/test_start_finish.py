"""`login start` and `login finish` from outside: two processes, one sign-in."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headless_login.practice.issuer import Answer, PracticeIssuer
from headless_login.practice.person import approve
from headless_login.practice.wire import Parameters, json_answer, text_answer
from tests.support.misbehaving import AnsweringIssuer
from tests.support.program import COMMAND, PROMPT, Piped, Terminal, environment, run, url_in
from tests.support.two_calls import (
    FINISH,
    PENDING,
    START,
    answered,
    begin,
    exchanges,
    finish,
    records,
)

OLD = b'{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-old-and-precious"}'


def test_a_sign_in_in_two_calls(
    environ: dict[str, str], issuer: PracticeIssuer, codex_home: Path
) -> None:
    """The address is the first line, the answer finishes, and the file is Codex's own form."""
    started = run(*START, environ=environ)
    assert started.exit_code == 0
    url = started.out.splitlines()[0]
    assert url == url_in(started.out)
    assert finish(environ, approve(url)).exit_code == 0
    written = json.loads((codex_home / "auth.json").read_text())
    assert written["auth_mode"] == "chatgpt"
    assert written["tokens"]["oauth_provenance"]["issuer"] == issuer.issuer
    assert not records(codex_home)
    assert exchanges(issuer) == 1


def test_what_is_pending_is_nobody_elses(environ: dict[str, str], codex_home: Path) -> None:
    """Folder 0700, file 0600, whatever the umask; and Codex meets neither."""
    before = os.umask(0)
    try:
        begin(environ)
    finally:
        os.umask(before)
    (record,) = records(codex_home)
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert stat.S_IMODE(record.parent.stat().st_mode) == 0o700
    assert [path.name for path in codex_home.iterdir()] == [PENDING]


def test_what_to_run_next_is_a_command(environ: dict[str, str], tmp_path: Path) -> None:
    """The last line that `start` prints, run as it stands, finishes: in any Codex folder."""
    home = tmp_path / "a folder's $HOME"
    path = f"{Path(COMMAND).parent}{os.pathsep}{environ['PATH']}"
    environ = {**environ, "CODEX_HOME": str(home), "PATH": path}
    started = run(*START, environ=environ)
    command = started.out.strip().splitlines()[-1]
    assert command.startswith("echo 'ADDRESS' | headless-login login finish -")
    answer = approve(started.out.splitlines()[0])
    del environ["CODEX_HOME"]  # the next call of an agent may have another environment
    line = command.replace("'ADDRESS'", shlex.quote(answer))
    done = subprocess.run(["sh", "-c", line], env=environ, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (home / "auth.json").exists()


def test_several_are_pending_and_each_answer_finds_its_own(
    environ: dict[str, str], issuer: PracticeIssuer, codex_home: Path
) -> None:
    """In any order, and the others stay."""
    answers = [answered(environ) for _ in range(3)]
    assert len(records(codex_home)) == 3
    for left, answer in zip((2, 1, 0), (answers[1], answers[2], answers[0]), strict=True):
        assert finish(environ, answer).exit_code == 0
        assert len(records(codex_home)) == left
    assert exchanges(issuer) == 3


@pytest.mark.parametrize("form", ["argument", "dash", "nothing", "file"])
def test_the_ways_in_for_an_answer(form: str, environ: dict[str, str], tmp_path: Path) -> None:
    """As an argument, on standard input with and without `-`, and from a file."""
    answer = answered(environ)
    if form == "argument":
        outcome = run(*FINISH, answer, environ=environ)
    elif form == "file":
        (tmp_path / "answer").write_text(f"> <{answer[:90]}\r\n> {answer[90:]}>\n")
        with open(tmp_path / "answer") as file, Piped(*FINISH, environ=environ, stdin=file) as it:
            outcome = it.finish()
    else:
        words = [*FINISH, *(["-"] if form == "dash" else [])]
        outcome = run(*words, environ=environ, stdin=f"{answer}\n")
    assert outcome.exit_code == 0, outcome.err


def test_a_here_string_of_bash(environ: dict[str, str]) -> None:
    """`<<< "$ADDRESS"`, as a person would type it."""
    line = f'{shlex.quote(COMMAND)} login finish - <<< "$ADDRESS"'
    environ = {**environ, "ADDRESS": answered(environ)}
    assert subprocess.run(["bash", "-c", line], env=environ, timeout=60).returncode == 0


def test_an_address_that_a_shell_has_cut(environ: dict[str, str], codex_home: Path) -> None:
    """What an unquoted `&` leaves is named, and the sign-in goes on."""
    answer = answered(environ)
    cut = run(*FINISH, answer.partition("&")[0], environ=environ)
    assert cut.exit_code == 3
    assert "If a shell cut the address at an &" in cut.err
    assert "login finish -" in cut.err
    assert finish(environ, answer).exit_code == 0
    assert (codex_home / "auth.json").exists()


@pytest.mark.parametrize(
    ("damage", "phrase"),
    [
        (lambda _: "hello", "not the address of the page"),
        (lambda answer: answer.replace("state=", "state=A"), "belongs to no sign-in"),
        (lambda answer: answer + "&code=ac_another_code_of_20", "more than once"),
        (lambda answer: answer.replace(":1455", ":1456"), "another port"),
        (lambda answer: answer + "&iss=https%3A%2F%2Fevil.example", "another authorization server"),
    ],
)
def test_a_rejected_answer_uses_nothing_up(
    damage: object,
    phrase: str,
    environ: dict[str, str],
    issuer: PracticeIssuer,
    codex_home: Path,
) -> None:
    """Exit 3, the reason, the old file byte for byte; and then the right answer is taken."""
    (codex_home / "auth.json").write_bytes(OLD)
    answer = answered(environ)
    outcome = finish(environ, damage(answer))  # type: ignore[operator]
    assert outcome.exit_code == 3
    assert phrase in outcome.err
    assert ("The sign-in stays pending." in outcome.err) is ("no sign-in" not in outcome.err)
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


def test_anothers_answer_where_all_is_used(environ: dict[str, str], tmp_path: Path) -> None:
    """The sentence is about the answer that came, not about the last one."""
    assert finish(environ, answered(environ)).exit_code == 0
    foreign = begin(environ, "--codex-home", str(tmp_path))
    assert "belongs to no sign-in" in finish(environ, approve(foreign)).err
    assert "That is the address to open" in finish(environ, foreign).err
    assert "used up" in finish(environ, "hello").err


def test_the_persons_refusal_uses_it_up(environ: dict[str, str], issuer: PracticeIssuer) -> None:
    """`access_denied` with this sign-in's state ends it; nothing is exchanged."""
    denied = approve(begin(environ), decision="deny")
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
    """Where something else is pending, the sentence is about the answer."""
    begin(environ)
    answer = answered(environ, "--codex-home", str(tmp_path / "other"))
    outcome = finish(environ, answer)
    assert outcome.exit_code == 3
    assert "belongs to no sign-in that was started here" in outcome.err
    assert finish(environ, answered(environ)).exit_code == 0
    again = finish(environ, answer)  # and where nothing is pending any more
    assert "belongs to no sign-in that was started here" in again.err
    assert finish(environ, answer, "--codex-home", str(tmp_path / "other")).exit_code == 0


class TroubledIssuer(PracticeIssuer):
    """Has trouble at the token endpoint, until it has none."""

    trouble: Answer | None = None

    def token_answer(self, form: Parameters) -> Answer:
        """Answer as told, or well."""
        return self.trouble or super().token_answer(form)


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
    with TroubledIssuer() as issuer:
        issuer.trouble = UNANSWERED[case]
        environ = environment(codex_home, issuer.issuer)
        answer = answered(environ)
        outcome = finish(environ, answer)
        assert outcome.exit_code == 4, outcome.err
        assert "stays pending: then run the same command again" in outcome.err
        assert "new sign-in" not in outcome.err
        issuer.trouble = None
        assert finish(environ, answer).exit_code == 0


@pytest.mark.parametrize(
    ("told", "exit_code"),
    [
        (json_answer(400, {"error": "invalid_grant"}), 3),
        (json_answer(200, {"access_token": "x"}), 4),
    ],
)
def test_what_the_issuer_has_judged_is_used_up(
    told: Answer, exit_code: int, codex_home: Path
) -> None:
    """A refusal or nonsense in place of tokens: a code works once."""
    with AnsweringIssuer(told) as issuer:
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


def test_two_at_once_are_one_exchange(environ: dict[str, str], issuer: PracticeIssuer) -> None:
    """Of many calls with the same answer one signs in; every other one says why it does not."""
    answer = answered(environ)
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(lambda _: finish(environ, answer), range(6)))
    assert sorted(outcome.exit_code for outcome in outcomes) == [0, 3, 3, 3, 3, 3]
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
        terminal.read_until("(?s)belongs to no sign-in.*" + PROMPT)
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
        Piped("login", "--paste-redirect", environ=environ, stdin=file) as it,
    ):
        outcome = it.finish()
    assert outcome.exit_code == 0, outcome.err
    assert "finishing that one" in outcome.err
    assert exchanges(issuer) == 1
