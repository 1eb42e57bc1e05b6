"""Which certificates are trusted, beside the real Codex; and how an address is reached."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from headless_login.issuer.connections import Address, connect, tls_context
from headless_login.practice.issuer import PERSONAL_ACCESS_TOKEN
from tests.support.codex import NEWEST
from tests.support.openai import Hosts, openai_hosts
from tests.support.own_etc import OwnEtc, own_etc
from tests.support.program import COMMAND, environment
from tests.support.tls import make_certificate

LOGIN = ("login", "--with-access-token")
# What the variables name: the CA of OpenAI's hosts here, one that has signed nothing, a folder.
ROWS: dict[str, dict[str, str]] = {
    "nothing": {},
    "ours, good": {"CODEX_CA_CERTIFICATE": "good"},
    "ours, foreign": {"CODEX_CA_CERTIFICATE": "foreign"},
    "a file, good": {"SSL_CERT_FILE": "good"},
    "a file, foreign": {"SSL_CERT_FILE": "foreign"},
    "a folder, good": {"SSL_CERT_DIR": "folder"},
    "a folder, hashed": {"SSL_CERT_DIR": "hashed"},
    "both, one good": {"CODEX_CA_CERTIFICATE": "foreign", "SSL_CERT_FILE": "good"},
    "both, the other good": {"CODEX_CA_CERTIFICATE": "good", "SSL_CERT_FILE": "foreign"},
    "both foreign": {"CODEX_CA_CERTIFICATE": "foreign", "SSL_CERT_FILE": "foreign"},
    "an empty variable": {"CODEX_CA_CERTIFICATE": ""},
    "requests', good": {"REQUESTS_CA_BUNDLE": "good"},
}
# What people set for programs in Python, and Codex does not know; a folder that nobody hashed.
OURS_ALONE = {"requests', good", "a folder, good"}


class Machine:
    """A machine that has both programs, OpenAI's hosts, and files of certificates."""

    def __init__(self, machine: OwnEtc, hosts: Hosts, folder: Path) -> None:
        """`folder` takes the files."""
        self.machine, self.hosts, self.folder = machine, hosts, folder
        good = Path(hosts.environ["CODEX_CA_CERTIFICATE"])
        self.paths = {"good": good, "foreign": make_certificate(folder, "foreign")[0]}
        for name in ("folder", "hashed"):
            self.paths[name] = folder / name
            self.paths[name].mkdir()
            (self.paths[name] / "company.pem").write_text(good.read_text())
        subprocess.run(["openssl", "rehash", str(self.paths["hashed"])], check=True)
        self.bundle = machine.etc / "ssl" / "certs" / "ca-certificates.crt"
        self.usual = self.bundle.read_text()

    def trust_company(self, trusted: bool) -> None:
        """Have the system's own store hold the CA, as after `update-ca-certificates`."""
        more = self.paths["good"].read_text() if trusted else ""
        self.bundle.write_text(self.usual + more)

    def sign_in(self, row: dict[str, str]) -> tuple[int, int, str]:
        """Return the exit codes of Codex and of ours, and what ours said."""
        no_proxy = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"), "")
        extra = {name: str(self.paths.get(value, value)) for name, value in row.items()}
        home = self.folder / "codex"
        home.mkdir(exist_ok=True)
        codex, _ = self.machine.codex(
            NEWEST, *LOGIN, codex_home=home, environ=no_proxy | extra, stdin=PERSONAL_ACCESS_TOKEN
        )
        environ = environment(home, None) | extra
        ours, said = self.machine.run([COMMAND, *LOGIN], environ, stdin=PERSONAL_ACCESS_TOKEN)
        return codex, ours, said


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("openai")
    with own_etc(folder) as machine, openai_hosts(machine, folder) as hosts:
        yield Machine(machine, hosts, folder)


@pytest.mark.parametrize("by_system", [False, True], ids=["unknown", "in the system's store"])
@pytest.mark.parametrize("name", ROWS)
def test_what_codex_trusts_we_trust(name: str, by_system: bool, machine: Machine) -> None:
    """A company's CA, in each variable, in a folder, in the system's store; a foreign one not."""
    machine.trust_company(by_system)
    codex, ours, said = machine.sign_in(ROWS[name])
    if name in OURS_ALONE:
        assert ours == 0, said
    else:
        assert (ours == 0) is (codex == 0), said
    if ours:
        assert ours == 4
        assert "its certificate is from an authority that is not known here" in said
        for variable, value in ROWS[name].items():
            assert f"{machine.paths.get(value, value)} (from {variable})" in said or not value


def test_inspecting_proxies_are_taken_on_every_python(tmp_path: Path) -> None:
    """Python 3.13 refuses CAs without key identifiers, which all other programs take."""
    authority, _ = make_certificate(tmp_path, "inspecting")
    context = tls_context({"SSL_CERT_FILE": str(authority)})
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    (only,) = context.get_ca_certs()
    assert only["subject"] == ((("commonName", "inspecting"),),)


def test_dead_ipv6_addresses_are_passed_over(machine: Machine) -> None:
    """A name that leads to three addresses on a network that swallows all, before the live one."""
    machine.trust_company(True)
    hosts = machine.machine.etc / "hosts"
    usual = hosts.read_text()
    dead = "".join(f"fd00:dead::{n} auth.openai.com\n" for n in (2, 3, 4))
    hosts.write_text(dead + usual)
    try:
        _, ours, said = machine.sign_in({})
    finally:
        hosts.write_text(usual)
    assert ours == 0, said


# Addresses, as a name server gives them.

LIVE, REFUSING, DEAD = "live", "refusing", "dead"


@pytest.fixture
def addresses() -> Iterator[dict[str, Address]]:
    """Three ports of this machine: one that answers, one that refuses, one that never does."""
    with ExitStack() as stack:
        live = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        dead = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # its queue is full: what comes is dropped
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(dead.getsockname())
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        servers = {LIVE: live, REFUSING: closed, DEAD: dead}
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        yield {name: (*kind, server.getsockname()) for name, server in servers.items()}


@pytest.mark.parametrize(
    "names",
    [
        [LIVE],
        [REFUSING, LIVE],
        [DEAD, LIVE],
        [DEAD, DEAD, DEAD, LIVE],
        [REFUSING, DEAD, REFUSING, LIVE],
        [LIVE, DEAD],
    ],
)
def test_dead_addresses_cost_little(names: list[str], addresses: dict[str, Address]) -> None:
    """The next one is tried beside those that do not answer: a head start each, and no more."""
    found = [addresses[name] for name in names]
    with connect("x", 1, 60.0, look_up=lambda *_: found, head_start=0.01) as connected:
        assert connected.getpeername() == addresses[LIVE][4]


@pytest.mark.parametrize(
    ("names", "kind", "phrase"),
    [
        ([REFUSING, REFUSING], OSError, r"Connection refused \(tried 127\.0\.0\.1\)"),
        ([DEAD], TimeoutError, ""),
        ([], OSError, "no address"),
    ],
)
def test_no_address_answers(
    names: list[str], kind: type[OSError], phrase: str, addresses: dict[str, Address]
) -> None:
    """All of them are named, and none is waited for longer than the time-out."""
    found = [addresses[name] for name in names]
    with pytest.raises(kind, match=phrase or None):
        connect("x", 1, 0.05, look_up=lambda *_: found, head_start=0.01)


def test_families_take_turns() -> None:
    """IPv6 alone works; a dead family does not keep the other one waiting (RFC 8305 §4)."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        one = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", server.getsockname())
        with connect("x", 1, 20.0, look_up=lambda *_: [one]) as connected:
            assert connected.family == socket.AF_INET6
