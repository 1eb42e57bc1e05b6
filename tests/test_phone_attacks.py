"""An attacker on the phone's network: forgeries, floods, an account of its own; the true one wins.

What needs several clients and no network has them at addresses of loopback.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from headless_login.flows import phone
from headless_login.flows.http_server import MOST_CONNECTIONS
from headless_login.practice.person import approve
from tests.support.listening import CODE, PATIENCE, read
from tests.support.networks import SERVER, SERVER_6, Networks
from tests.support.people import ADA, GRACE, Machine, People
from tests.support.program import Terminal
from tests.test_phone import ASKED, PHONE, bring, page_on, titled

NOTHING = (
    b"HTTP/1.1 404 Not Found\r\nCache-Control: no-store\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class Begun:
    """A sign-in with a page at loopback, and clients at other addresses of it."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.url, self.page = page_on(terminal)
        self.port = int(self.page.split(":")[2].partition("/")[0])
        self.path = "/" + self.page.rpartition("/")[2]
        self.host = f"127.0.0.1:{self.port}"

    def forged(self) -> str:
        state = re.search(r"state=([^&]+)", self.url)
        assert state
        return f"http://127.0.0.1:1455/auth/callback?code={CODE}&state={state[1]}"

    def send(self, sent: bytes, at: str = "127.0.0.66") -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE, (at, 0))
        with suppress(OSError):
            client.sendall(sent)
        return client

    def request(self, head: str, body: str = "", at: str = "127.0.0.66", **headers: str) -> bytes:
        """Send one request and return the whole answer; `_` in a header's name is a hyphen."""
        given = {"Host": self.host} | {k.replace("_", "-"): v for k, v in headers.items()}
        lines = [f"{head} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        lines += [f"Content-Length: {len(body)}"] if body else []
        return read(self.send("\r\n".join([*lines, "", body]).encode(), at))


@pytest.fixture
def begun(machine: Machine) -> Iterator[Begun]:
    with Terminal(*PHONE, environ=machine.environ) as terminal:
        yield Begun(terminal)


HEADS: list[tuple[str, dict[str, str]]] = [
    *((f"GET {path}", {}) for path in ("/", "/favicon.ico", "/{path}/", "/{path}x", "/{short}")),
    *((f"GET {path}", {}) for path in ("/auth/done", "/cancel", "//{path}", "/{other}")),
    *((f"{method} /{{path}}", {}) for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")),
    ("GET /{path}", {"Host": "rebound.example"}),
    ("GET /{path}", {"Host": "rebound.example:{port}"}),
    ("GET /{path}", {"Host": "127.0.0.1.rebound.example:{port}"}),
    ("GET /{path}", {"Host": ""}),
    ("POST /{path}", {"Origin": "http://evil.example"}),
    ("POST /{path}", {"Origin": "http://127.0.0.1:1"}),
    ("POST /{path}", {"Origin": "https://127.0.0.1:{port}"}),
    ("POST /{path}", {"Origin": "null", "Sec_Fetch_Site": "cross-site"}),
    ("GET /{path}", {"Sec_Fetch_Site": "same-site"}),
]  # fmt: skip


def test_to_all_but_one_path_nothing_is_here(begun: Begun) -> None:
    """The same empty answer, to the byte: no hint at what would be right."""
    path = begun.path[1:]
    words = {"path": path, "short": path[:-1], "other": path[:-1] + "~", "port": begun.port}
    for head, headers in HEADS:
        given = {name: value.format(**words) for name, value in headers.items()}
        body = "answer=x" if head.startswith("POST") else ""
        assert begun.request(head.format(**words), body, **given) == NOTHING, head
    for raw in (b"\x16\x03\x01\x00", b"GET\r\n\r\n", b"\0" * 70_000):
        assert read(begun.send(raw)) in (NOTHING, b"")
    assert b"200 OK" in begun.request(f"GET {begun.path}")
    for host in ("localhost", "192.0.2.77:8080", "[2001:db8::1]:1"):  # by a tunnel, or published
        assert b"200 OK" in begun.request(f"GET {begun.path}", Host=host)


def test_a_browsers_own_form_is_let_in(begun: Begun) -> None:
    """As Chromium sends it over plain HTTP under `no-referrer`: Origin null, no Fetch Metadata."""
    for origin in ("null", f"http://{begun.host}"):
        answer = begun.request(f"POST {begun.path}", "answer=x", Origin=origin)
        assert b"400 Bad Request" in answer
        assert b"Finish" in answer


def test_the_page_holds_nothing_secret_and_loads_nothing(begun: Begun) -> None:
    """Strict headers, no cookie, no script, and the address to open once."""
    answer = begun.request(f"GET {begun.path}").decode()
    head, _, body = answer.partition("\r\n\r\n")
    for header in (
        "default-src 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        "Cross-Origin-Opener-Policy: same-origin",
    ):
        assert header in head
    assert not re.search("set-cookie|server:|access-control", head, re.I)
    assert not re.search(r"<script|<img|src=|verifier", body, re.I)
    assert body.count("http://127.0.0.1:1455") <= 1
    assert body.count("/oauth/authorize?") == 1


def test_wrong_answers_are_not_judged_for_ever(begun: Begun) -> None:
    """A bounded number a minute from one address; another one's are judged meanwhile."""
    for _ in range(phone.MOST_WRONG):
        assert b"400 Bad Request" in begun.request(f"POST {begun.path}", "answer=x")
    answer = begun.request(f"POST {begun.path}", "answer=x")
    assert b"429 Too Many Requests" in answer
    assert b"Retry-After: 60" in answer
    assert b"303 See Other" not in begun.request(f"POST {begun.path}", f"answer={begun.forged()}")
    assert b"400 Bad Request" in begun.request(f"POST {begun.path}", "answer=x", at="127.0.0.2")


@pytest.mark.parametrize("length", [phone.LARGEST_BODY - 10, phone.LARGEST_BODY + 10, 10**9])
def test_a_large_body_is_not_read_for_ever(length: int, begun: Begun) -> None:
    """Whatever is announced or sent: it is named, and the sign-in goes on."""
    head = f"POST {begun.path} HTTP/1.1\r\nHost: {begun.host}\r\nContent-Length: {length}\r\n\r\n"
    body = b"answer=" + b"x" * min(length - 7, phone.LARGEST_BODY + 10)
    client = begun.send(head.encode() + body)
    assert b"longer than any answer" in read(client)


@contextmanager
def crowd(begun: Begun, sent: bytes) -> Iterator[None]:
    """More connections than are served, which send this and nothing more."""
    with ExitStack() as opened:
        for _ in range(3 * MOST_CONNECTIONS):
            opened.enter_context(begun.send(sent))
        yield


SLOW = {
    "nothing": "",
    "half a head": "POST {path} HTTP/1.1\r\nHost: {host}\r\n",
    "half a body": "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9999\r\n\r\nanswer=",
    "waiting": "GET {path}?wait HTTP/1.1\r\nHost: {host}\r\n\r\n",
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_crowd_keeps_the_phone_not_out(kind: str, begun: Begun, machine: Machine) -> None:
    """Slow heads and bodies, and who waits without having brought anything."""
    with crowd(begun, SLOW[kind].format(path=begun.path, host=begun.host).encode()):
        assert titled(bring(begun.page, approve(begun.url))) == "Confirm on the terminal"
        begun.terminal.read_screen_until(ASKED.format(ADA.email))
        held = [*Path(f"/proc/{begun.terminal.process.pid}/fd").glob("*")]
        assert len(held) < MOST_CONNECTIONS + 40
        begun.terminal.send("y\r")
        assert begun.terminal.wait() == 0
    assert machine.present[0] == ADA.user_id


def test_forged_codes_end_nothing_and_delay_nobody(begun: Begun, machine: Machine) -> None:
    """Who knows the path knows the state: the issuer refuses the code, and another one's comes
    first then."""
    for number in range(2):
        begun.request(f"POST {begun.path}", f"answer={begun.forged().replace('&', '%26')}")
        begun.terminal.read_until("(?s)" + "goes on.waiting.*" * (number + 1))
    assert titled(bring(begun.page, approve(begun.url))) == "Confirm on the terminal"
    begun.terminal.read_screen_until(ASKED.format(ADA.email))
    begun.terminal.send("y\r")
    assert begun.terminal.wait() == 0
    assert machine.present[0] == ADA.user_id


# Three machines.


@pytest.fixture
def networks() -> Iterator[Networks]:
    with Networks() as running:
        yield running


@pytest.mark.parametrize("address", [SERVER, SERVER_6, ""])
def test_the_true_one_wins(address: str, networks: Networks, codex_home: Path) -> None:
    """An attacker with the path answers first by an account of its own, forges and floods: nothing
    of it is written. Without `--phone-bind` it is the address that the ssh session came in by."""
    with networks.inside("server"), People() as issuer:
        machine = Machine(codex_home, issuer)
        machine.environ["SSH_CONNECTION"] = f"10.99.1.2 50000 {SERVER} 22"
        bind = ("--phone-bind", address) if address else ()
        with Terminal("login", "--phone", *bind, environ=machine.environ, rows=26) as terminal:
            url, page = page_on(terminal)
            assert page.startswith(f"http://{f'[{address}]' if ':' in address else SERVER}:")
            hers, his = approve(url), approve(url)
            machine.issuer.person = GRACE
            with networks.inside("attacker"):
                for path in ("/", "/auth/callback?code=x&state=y", "/" + "A" * 22):
                    asked = requests.get(page.rpartition("/")[0] + path, timeout=PATIENCE)
                    assert (asked.status_code, asked.content) == (404, b"")
                for name, value in (("Host", "evil.example"), ("Origin", "http://evil.example")):
                    asked = bring(page, hers, **{name: value})
                    assert (asked.status_code, asked.content) == (404, b"")
                assert "Confirm" in titled(bring(page, hers))
                terminal.read_screen_until(ASKED.format(GRACE.email))
                terminal.send("\r")
                terminal.read_until("was not confirmed")
                assert "was not confirmed" in titled(requests.get(page, timeout=PATIENCE))
            (revoked,) = machine.issuer.revoked
            assert machine.issuer.whose(revoked) is GRACE
            machine.issuer.person = ADA
            with networks.inside("attacker"):
                flood = _flood(page)
            with flood, networks.inside("phone"):
                assert "Confirm" in titled(bring(page, his))
                waiting = _in_thread(page)
                terminal.read_screen_until(ASKED.format(ADA.email))
                assert not machine.auth_file.exists()
                terminal.send("y\r")
                assert terminal.wait() == 0
                assert waiting() == "Signed in to Codex"
        assert machine.present[0] == ADA.user_id
        assert machine.kept == []


def _flood(page: str) -> ExitStack:
    """Open more connections than are served, slow in each way in turn, as long as it is held."""
    parts = urlsplit(page)
    kinds = [each.format(path=parts.path, host=parts.netloc).encode() for each in SLOW.values()]
    with ExitStack() as opened:
        for _, sent in zip(range(3 * MOST_CONNECTIONS), cycle(kinds), strict=False):
            where = (parts.hostname, parts.port)
            connection = opened.enter_context(socket.create_connection(where, PATIENCE))
            with suppress(OSError):  # thrown out already
                connection.sendall(sent)
        return opened.pop_all()


def _in_thread(page: str) -> Callable[[], str]:
    got: list[str] = []
    thread = threading.Thread(
        target=lambda: got.append(titled(requests.get(f"{page}?wait", timeout=PATIENCE)))
    )
    thread.start()

    def joined() -> str:
        thread.join(PATIENCE)
        return got[0]

    return joined
