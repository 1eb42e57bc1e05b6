"""Where there is no terminal: `docker exec`, cron and systemd units, for real."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from headless_login.practice.person import approve
from tests.support.containers import LIMIT
from tests.support.machine import has_mode
from tests.support.program import COMMAND, Terminal, Variables, environment, url_in
from tests.support.services import Container, Cron, Systemd, SystemdAsInit, container

pytestmark = pytest.mark.timeout(2 * LIMIT)  # a busy daemon is no failure
Place = Container | Cron | Systemd  # somewhere commands can be run
PLACES: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "docker exec": container,
    "cron": lambda folder: nullcontext(Cron(folder)),
    "systemd": lambda folder: nullcontext(Systemd(folder)),
    "systemd as init": lambda folder: nullcontext(SystemdAsInit(folder)),
}


@pytest.fixture(params=PLACES, scope="module")
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each place in turn; what it has in common with this machine is in its folder."""
    with (
        tempfile.TemporaryDirectory(prefix="hl-", dir="/tmp") as folder,
        PLACES[request.param](Path(folder)) as running,
    ):
        yield running


@pytest.fixture
def codex_home(place: Place, tmp_path: Path) -> Path:
    """A Codex folder that the place sees, another for each test."""
    return place.folder / tmp_path.name


@pytest.mark.parametrize("bare", [False, True])
def test_two_calls(bare: bool, place: Place, codex_home: Path, environ: Variables) -> None:
    """`start` and `finish` there, the person elsewhere; also with only what the place sets."""
    if bare:
        environ = {name: environ[name] for name in ("CODEX_HOME", "HEADLESS_LOGIN_ISSUER")}
    started = place.run([COMMAND, "login", "start"], environ, None)
    assert started.exit_code == 0, started.err
    answer = approve(started.out.splitlines()[0])
    file = place.folder / "answer"
    file.write_text(f"{answer}\n")
    words = [COMMAND, "login", "finish", "--json", answer if bare else "-"]
    finished = place.run(words, environ, None if bare else file)
    assert finished.exit_code == 0, finished.err
    assert json.loads(finished.out.splitlines()[-1])["event"] == "signed_in"
    assert has_mode((codex_home / "auth.json"), 0o600)


def test_paste_without_input_says_how_to_go_on(place: Place, environ: Variables) -> None:
    """It ends with 2, and the command that it names finishes in the same place."""
    ended = place.run([COMMAND, "login", "--paste-redirect"], environ, None)
    assert ended.exit_code == 2
    assert "login start" in ended.err
    answer = place.folder / "answer"
    answer.write_text(approve(url_in(ended.err)))
    named = re.search(r"pending:\s+(\S+ login finish - --codex-home \S+)", ended.err)
    assert named
    finished = place.run(named[1].split(), environ, answer)
    assert finished.exit_code == 0, finished.err


@pytest.mark.parametrize("place", ["docker exec"], indirect=True)
def test_a_terminal_in_a_container(place: Place, codex_home: Path, environ: Variables) -> None:
    """`docker exec -it`: the question is asked there, and a paste is not echoed."""
    assert isinstance(place, Container)
    command = place.command("exec -it", [COMMAND, "login", "--paste-redirect"], environ)
    with Terminal(environ=environment(None, None), command=command) as terminal:
        url = terminal.read_question()
        terminal.paste(approve(url))
        assert terminal.wait() == 0
        assert "code=" not in terminal.text.replace(url, "")
    assert (codex_home / "auth.json").exists()
