"""Where nobody has a terminal: `docker exec`, cron and a systemd unit, for real."""

from __future__ import annotations

import json
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.docker import Container, container
from tests.support.program import COMMAND, PROMPT, Outcome, Terminal, environment, url_in
from tests.support.services import SYSTEMD, Cron, Systemd, SystemdAsInit, require


class Place(Protocol):
    """Somewhere commands can be run."""

    def run(self, words: list[str], environ: dict[str, str], stdin: Path | None) -> Outcome:
        """Run one to its end."""


@contextmanager
def _docker(folder: Path) -> Iterator[Container]:
    with container(folder) as running:
        yield running


@contextmanager
def _cron(folder: Path) -> Iterator[Cron]:
    require("cron")
    yield Cron(folder)


@contextmanager
def _systemd(folder: Path) -> Iterator[Systemd]:
    require(SYSTEMD)
    yield Systemd(folder)


@contextmanager
def _init(folder: Path) -> Iterator[Systemd]:
    require(SYSTEMD)
    yield SystemdAsInit(folder)


PLACES: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "docker exec": _docker,
    "cron": _cron,
    "systemd": _systemd,
    "systemd as init": _init,
}


@pytest.fixture(params=PLACES, scope="module")
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Place, Path]]:
    """A place, and a folder that it shares with this machine."""
    with (
        tempfile.TemporaryDirectory(prefix="hl-", dir="/tmp") as folder,
        PLACES[request.param](Path(folder)) as running,
    ):
        yield running, Path(folder)


@pytest.fixture
def shared(place: tuple[Place, Path], tmp_path: Path) -> Path:
    """A Codex folder that the place sees; the tests must not see each other's."""
    return place[1] / tmp_path.name


def test_two_calls(place: tuple[Place, Path], shared: Path, issuer: PracticeIssuer) -> None:
    """`login start` there, the person elsewhere, `login finish` there."""
    where, folder = place
    environ = environment(shared, issuer.issuer)
    started = where.run([COMMAND, "login", "start"], environ, None)
    assert started.exit_code == 0, started.err
    answer = folder / "answer"
    answer.write_text(approve(started.out.splitlines()[0]) + "\n")
    finished = where.run([COMMAND, "login", "finish", "-"], environ, answer)
    assert finished.exit_code == 0, finished.err
    assert stat.S_IMODE((shared / "auth.json").stat().st_mode) == 0o600


def test_nothing_is_set_but_what_the_place_sets(
    place: tuple[Place, Path], shared: Path, issuer: PracticeIssuer
) -> None:
    """Without $HOME, $LANG, $TERM and $PATH of a person it works as well."""
    environ = {"CODEX_HOME": str(shared), "HEADLESS_LOGIN_ISSUER": issuer.issuer}
    started = place[0].run([COMMAND, "login", "start"], environ, None)
    assert started.exit_code == 0, started.err
    answer = approve(started.out.splitlines()[0])
    finished = place[0].run([COMMAND, "login", "finish", answer, "--json"], environ, None)
    assert finished.exit_code == 0, finished.err
    assert json.loads(finished.out.splitlines()[-1])["event"] == "signed_in"


def test_the_address_as_an_argument(
    place: tuple[Place, Path], shared: Path, issuer: PracticeIssuer
) -> None:
    """No shell is between, so nothing has to be quoted."""
    environ = environment(shared, issuer.issuer)
    started = place[0].run([COMMAND, "login", "start"], environ, None)
    answer = approve(started.out.splitlines()[0])
    finished = place[0].run([COMMAND, "login", "finish", answer], environ, None)
    assert finished.exit_code == 0, finished.err


def test_paste_without_input_says_how_to_go_on(
    place: tuple[Place, Path], shared: Path, issuer: PracticeIssuer
) -> None:
    """It ends with 2, and the command that it names finishes in the same place."""
    environ = environment(shared, issuer.issuer)
    ended = place[0].run([COMMAND, "login", "--paste-redirect"], environ, None)
    assert ended.exit_code == 2
    assert "login start" in ended.err
    answer = place[1] / "answer"
    answer.write_text(approve(url_in(ended.err)))
    named = re.search(r"echo 'ADDRESS' \| (\S+ login finish - --codex-home \S+)", ended.err)
    assert named
    finished = place[0].run(named[1].split(), environ, answer)
    assert finished.exit_code == 0, finished.err


@pytest.mark.parametrize("place", ["docker exec"], indirect=True)
def test_a_terminal_in_a_container(
    place: tuple[Place, Path], shared: Path, issuer: PracticeIssuer
) -> None:
    """`docker exec -it`: the question is asked there, and a paste is not echoed."""
    where, _ = place
    assert isinstance(where, Container)
    words = [COMMAND, "login", "--paste-redirect"]
    command = where.command(["exec", "-it"], words, environment(shared, issuer.issuer))
    with Terminal(environ=environment(None, None), command=command) as terminal:
        url = terminal.read_url()
        terminal.read_until(PROMPT)
        terminal.paste(approve(url))
        assert terminal.wait() == 0
        assert "code=" not in terminal.text.replace(url, "")
    assert (shared / "auth.json").exists()
