"""Fixtures for all tests: a practice issuer, an empty Codex folder, a clean environment."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

import pytest
from hypothesis import settings

from headless_login.codex.home import CodexHome
from headless_login.practice.issuer import PracticeIssuer
from tests.support import chromium
from tests.support.chromium import Chromium
from tests.support.hosts import Hosts, hosts_in
from tests.support.machine import hold
from tests.support.misbehaving import AnsweringIssuer
from tests.support.people import Machine, People
from tests.support.program import environment
from tests.support.renewing import RefreshingIssuer, Renewing
from tests.support.scene import Scene
from tests.support.two_calls import TwoCalls

# A suite that is started in the background would have every program ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.platform == "win32":  # what is about POSIX says so when it comes to it
    _symlink = os.symlink

    def _skipping(name: str) -> Callable[..., Never]:
        return lambda *_, **__: pytest.skip(f"there is no os.{name} here")

    def _linked(*words: Any, **options: Any) -> None:
        _symlink(*words, **options)
        if not os.path.islink(words[1]) and not str(words[1]).endswith("current"):  # pytest's
            pytest.skip("no symbolic links can be made here")

    os.symlink = _linked
    for each in ("chown", "fork", "mkfifo", "mknod", "openpty"):
        setattr(os, each, _skipping(each))
settings.register_profile("tests", deadline=None)  # a busy machine is no failure
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what the machine that runs the tests has set: proxies, certificates, Codex, ssh."""
    for name in [*os.environ]:
        if name.upper().endswith(("_PROXY", "_CA_BUNDLE", "_CA_CERTIFICATE")) or name.startswith(
            ("CODEX_", "OPENAI_", "HEADLESS_LOGIN_ISSUER", "SSH_", "SSL_CERT", "PYTHONUNBUFFERED")
        ):
            monkeypatch.delenv(name)


@pytest.fixture
def issuer() -> Iterator[PracticeIssuer]:
    """A practice issuer that behaves."""
    with PracticeIssuer() as running:
        yield running


@pytest.fixture
def codexs_ports() -> Iterator[None]:
    """The ports 1455 and 1457 of this machine, for one test of all runs at a time."""
    with hold(Path(tempfile.gettempdir(), "headless-login-tests.lock")):
        for port in (1455, 1457):
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                pytest.skip(f"another program listens on port {port}")
        yield


@pytest.fixture
def codex_home(tmp_path: Path) -> Path:
    """An empty Codex folder."""
    path = tmp_path / "codex"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def home(codex_home: Path) -> CodexHome:
    """The same folder, as the code knows it."""
    return CodexHome(str(codex_home))


@pytest.fixture
def environ(codex_home: Path, issuer: PracticeIssuer) -> dict[str, str]:
    """The environment in which the command meets that folder and that issuer."""
    return environment(codex_home, issuer.issuer)


@pytest.fixture
def scene(codex_home: Path) -> Iterator[Scene]:
    """A sign-in at a port of its own, with an issuer that behaves unless it is told otherwise."""
    with Scene(codex_home) as begun:
        yield begun


@pytest.fixture
def calls(codex_home: Path) -> Iterator[TwoCalls]:
    """The command in that folder, with an issuer that answers as told."""
    with AnsweringIssuer() as issuer:
        yield TwoCalls(codex_home, issuer)


@pytest.fixture
def renewing(codex_home: Path) -> Iterator[Renewing]:
    """A folder that is signed in, and whose access token ends soon."""
    with RefreshingIssuer() as issuer:
        yield Renewing(codex_home, issuer)


@pytest.fixture
def machine(codex_home: Path) -> Iterator[Machine]:
    """The command in that folder, with an issuer at which several people sign in."""
    with People() as issuer:
        yield Machine(codex_home, issuer)


@pytest.fixture(scope="module")
def every_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Servers that ssh reaches, for all tests of a file."""
    with hosts_in(tmp_path_factory.mktemp("ssh")) as hosts:
        yield hosts


@pytest.fixture
def hosts(every_host: Hosts, tmp_path: Path) -> Hosts:
    """The same servers without any host yet; the hosts' folders are new ones."""
    every_host.begin(tmp_path / "hosts")
    return every_host


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One real browser for all tests of a file; each opens its own page."""
    if chromium.BINARY is None:
        pytest.skip("Chromium is not installed")
    with Chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running
