"""What one sign-in takes: openings of a folder, readings, judgements, connections. No clock."""

from __future__ import annotations

import json
import sys

import pytest

from headless_login.codex.home import CodexHome
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve, approve_device
from tests.support import instructions
from tests.support.program import Piped, Terminal, Variables, run
from tests.support.two_calls import FINISH, START, answered, begin

# Counts in the child: each opening of the folder of pending attempts, each reading of a record,
# each decoding of a pasted text. A folder is opened by its name or, relative to the Codex
# folder, by its own last part; a record by its own name.
COUNTING = """
import json, os, sys
from headless_login.oauth import decodings

counts = {"folder": 0, "record": 0, "decoded": 0}

def watch(event, details):
    if event == "open" and isinstance(details[0], str):
        name = os.path.basename(details[0])
        counts["folder"] += name == ".headless-login"
        counts["record"] += len(name) == 37 and name.endswith(".json")

def views(text, genuine=decodings._views):
    counts["decoded"] += 1
    return genuine(text)

decodings._views = views
sys.addaudithook(watch)
from headless_login.cli import main
code = main(sys.argv[1:])
print(json.dumps(counts))
sys.stdout.flush()
os._exit(code)
"""
COMMAND = (sys.executable, "-c", COUNTING)


def test_finish_opens_its_folder_and_reads_its_record_once(environ: Variables) -> None:
    """However many are pending: each record is read once, and the answer judged once."""
    for _ in range(2):
        begin(environ)
    outcome = run(*FINISH, "-", environ=environ, stdin=answered(environ), command=COMMAND)
    counts = json.loads(outcome.out.splitlines()[-1])
    assert counts["folder"] <= 4
    assert (counts["record"], counts["decoded"]) == (3, 1)


def test_a_pasted_answer_is_judged_once(environ: Variables) -> None:
    """A marked paste is judged to see whether it is enough, and not again when it was."""
    with Terminal("login", "--paste-redirect", environ=environ, command=COMMAND) as terminal:
        terminal.paste(approve(terminal.read_url()))
        assert terminal.wait() == 0
        assert json.loads(terminal.text.splitlines()[-1])["decoded"] == 1


@pytest.mark.parametrize("calls", ["login", "start and finish"])
def test_one_connection_is_enough(calls: str, environ: Variables, issuer: PracticeIssuer) -> None:
    """Code, polls, exchange and keys go over one connection of one client in each process."""
    if calls == "login":
        with Piped("login", "--device-auth", environ=environ) as piped:
            piped.read_until(r"(?m)^[A-Z0-9]{4}-[A-Z0-9]{4}\n")
            lines = piped.err.splitlines()[1:]  # after the issuer's name
            approve_device(lines[1], lines[3])
            assert piped.finish().exit_code == 0
    else:
        lines = run(*START, "--device-auth", environ=environ).out.splitlines()
        approve_device(lines[1], lines[3])
        assert run(*FINISH, "--no-wait", environ=environ).exit_code == 0
    processes = 1 if calls == "login" else 2
    visits = 2  # of the person: the page, and the button
    assert issuer.connections == processes + visits
    assert {"/oauth/token", "/.well-known/jwks.json"} <= {each.path for each in issuer.requests}
    # The client has a token when it asks for the keys, and keeps it to itself.
    assert not [each for each in issuer.requests if each.headers.get("Authorization")]


# The instructions of each command as ratios to a bare start, and what they were taken with. What
# makes them fewer writes the new ones here: `scripts/bench` prints them, too.
TAKEN_WITH = ("CPython 3.11.2 x86_64", "CPython 3.11.7 x86_64")
INSTRUCTIONS = {
    "--version": (0.85, 0.86),
    "login --paste-redirect": (2.81, 2.69),
    "login": (3.32, 3.19),
    "login start": (3.27, 3.11),
    "login status": (2.53, 2.48),
    "token": (2.51, 2.46),
    "logout": (2.97, 2.89),
    "login --with-api-key": (2.99, 2.89),
}
MOST = 1.05  # times what stands there


@pytest.mark.parametrize("line", INSTRUCTIONS)
def test_the_start_takes_no_more_instructions(line: str, home: CodexHome) -> None:
    """Up to the address, or the end, of a command that is started as the installed one is."""
    if instructions.counter() is None:
        pytest.skip("valgrind is not installed")
    if instructions.RUNS_ON not in TAKEN_WITH:
        pytest.skip(f"the figures are not those of {instructions.RUNS_ON}")
    taken = INSTRUCTIONS[line][TAKEN_WITH.index(instructions.RUNS_ON)]
    assert instructions.ratio(line, home) <= taken * MOST
