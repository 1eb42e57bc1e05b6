"""What one sign-in takes: openings of a folder, readings, judgements, connections. No clock."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve, approve_device
from tests.support.program import Piped, Terminal, run
from tests.support.two_calls import FINISH, START, answered, begin

# Counts in the child: each opening of the folder of pending attempts, each reading of a record,
# each unwrapping of a pasted text. A folder is opened by its name or, relative to the Codex
# folder, by its own last part; a record by its own name.
COUNTING = """
import json, os, sys
from headless_login.oauth import answers

counts = {"folder": 0, "record": 0, "unwrap": 0}

def watch(event, details):
    if event == "open" and isinstance(details[0], str):
        name = os.path.basename(details[0])
        counts["folder"] += name == ".headless-login"
        counts["record"] += len(name) == 37 and name.endswith(".json")

def unwrap(text, genuine=answers.unwrap):
    counts["unwrap"] += 1
    return genuine(text)

answers.unwrap = unwrap
sys.addaudithook(watch)
from headless_login.cli import main
code = main(sys.argv[1:])
print(json.dumps(counts))
sys.stdout.flush()
os._exit(code)
"""


def _counted(environ: dict[str, str], stdin: str, *words: str) -> Counter[str]:
    done = subprocess.run(
        [sys.executable, "-c", COUNTING, *words],
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return Counter(json.loads(done.stdout.splitlines()[-1]))


def test_finish_opens_its_folder_and_reads_its_record_once(environ: dict[str, str]) -> None:
    """However many are pending: each record is read once, and the answer judged once."""
    for _ in range(2):
        begin(environ)
    counts = _counted(environ, answered(environ), "login", "finish", "-")
    assert counts["folder"] <= 4
    assert (counts["record"], counts["unwrap"]) == (3, 1)


def test_a_pasted_answer_is_judged_once(environ: dict[str, str]) -> None:
    """A marked paste is judged to see whether it is enough, and not again when it was."""
    command = (sys.executable, "-c", COUNTING)
    with Terminal("login", "--paste-redirect", environ=environ, command=command) as terminal:
        terminal.paste(approve(terminal.read_url()))
        assert terminal.wait() == 0
        assert json.loads(terminal.text.splitlines()[-1])["unwrap"] == 1


@pytest.mark.parametrize("calls", ["login", "start and finish"])
def test_one_connection_is_enough(
    calls: str, environ: dict[str, str], issuer: PracticeIssuer
) -> None:
    """Code, polls, exchange and keys go over one connection of one client in each process."""
    if calls == "login":
        with Piped("login", "--device-auth", environ=environ) as piped:
            piped.read_until(r"(?m)^[A-Z0-9]{4}-[A-Z0-9]{4}\n")
            page, code = (piped.err.splitlines()[at] for at in (1, 3))
            approve_device(page, code)
            assert piped.finish().exit_code == 0
        processes = 1
    else:
        lines = run(*START, "--device-auth", environ=environ).out.splitlines()
        approve_device(lines[1], lines[3])
        assert run(*FINISH, "--no-wait", environ=environ).exit_code == 0
        processes = 2
    visits = 2  # of the person: the page, and the button
    assert issuer.connections == processes + visits
    paths = [request.path for request in issuer.requests]
    assert {"/oauth/token", "/.well-known/jwks.json"} <= {*paths}
