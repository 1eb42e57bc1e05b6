"""`login --phone`: a page for a phone, which takes the address back; confirmed on the terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path

import pyte
import pytest
import requests
from requests import Response

from headless_login.commands.phone import advice, bind_page
from headless_login.errors import LocalTrouble, WrongUsage
from headless_login.practice.person import approve
from headless_login.terminal.network import addresses_for_phone, read_bind
from headless_login.terminal.place import Place, SshConnection, takes_no_paste
from tests.support.listening import PATIENCE, fetch, free_port, listen_at
from tests.support.people import ADA, GRACE, Machine
from tests.support.program import COMMAND, PROMPT, Piped, Terminal, assert_ended, events_in
from tests.support.scanning import picture_of, read, read_by_zbar, read_by_zxing
from tests.support.scene import Scene

PHONE = ("login", "--paste-redirect", "--phone", "--phone-bind", "127.0.0.1")
ASKED = r"Sign in this machine as {}\? \[y/N\]"


def titled(page: Response) -> str:
    """Return a page's heading, and what it refuses."""
    found = re.findall(r"<h1>(.*?)</h1>|role=\"alert\">(.*?)</p>", page.text)
    return unescape(" ".join(filter(None, (each for pair in found for each in pair))))


def bring(page: str, answer: str, **headers: str) -> Response:
    """Send the form as a browser does, which is sent on."""
    form = {"answer": answer}
    return requests.post(page, data=form, headers=headers, timeout=PATIENCE)


def page_on(terminal: Terminal) -> tuple[str, str]:
    """Return the authorize URL, and the page's address as it stands on the screen."""
    url = terminal.read_question()
    (page,) = read(picture_of(terminal.screen))
    assert page in terminal.text
    return url, page


def test_a_phone_brings_its_answer(machine: Machine) -> None:
    """Its code is on the screen; wrong pastes are named; nothing is written before the yes."""
    with Terminal(*PHONE, environ=machine.environ) as terminal:
        url, page = page_on(terminal)
        assert url.replace("&", "&amp;") in (first := requests.get(page, timeout=PATIENCE).text)
        assert first.count("state=") == 1
        assert "That is the address to open" in titled(bring(page, url))
        assert "Nothing was pasted" in titled(bring(page, " "))
        assert "The sign-in was denied" in titled(bring(page, approve(url, decision="deny")))
        assert titled(bring(page, approve(url))) == "Confirm on the terminal"
        terminal.read_screen_until(ASKED.format(ADA.email))
        assert not machine.auth_file.exists()
        terminal.send("y\r")
        assert terminal.wait() == 0
        assert terminal.text.count("A wrong answer on the phone's page") == 1
    assert machine.present[0] == ADA.user_id
    assert machine.issuer.revoked == []


@pytest.mark.parametrize("said", ["n\r", "\r", "Y E S\r", "\x04"])
def test_what_is_no_yes_is_a_no(said: str, machine: Machine) -> None:
    """Nothing is written, the tokens are revoked, and the same address takes another answer."""
    with Terminal(*PHONE, environ=machine.environ) as terminal:
        url, page = page_on(terminal)
        bring(page, approve(url))
        terminal.read_screen_until(ASKED.format(ADA.email))
        terminal.send(said)
        terminal.read_until("was not confirmed")
        terminal.read_screen_until(PROMPT)
        assert "was not confirmed" in titled(requests.get(page, timeout=PATIENCE))
        assert not machine.auth_file.exists()
        (revoked,) = machine.issuer.revoked
        machine.issuer.person = GRACE
        terminal.paste(approve(url) + "\r")  # on the terminal nobody is asked
        assert terminal.wait() == 0
    assert machine.present[0] == GRACE.user_id
    assert machine.present[1] != revoked


def test_what_was_typed_before_the_question_is_no_answer(machine: Machine) -> None:
    """A `y` that was on its way to something else confirms nobody."""
    machine.issuer.person = GRACE
    with Terminal(*PHONE, environ=machine.environ) as terminal:
        url, page = page_on(terminal)
        bring(page, approve(url))
        terminal.send("y\ry\r")
        terminal.read_screen_until(ASKED.format(GRACE.email))
        terminal.send("n\r")
        terminal.read_until("was not confirmed")
        assert not machine.auth_file.exists()


def test_another_way_meanwhile(scene: Scene) -> None:
    """While it is asked about one, the browser brings an answer itself: after a no it is taken."""
    with scene.terminal("--phone", "--phone-bind", "127.0.0.1") as terminal:
        url, page = page_on(terminal)
        assert titled(bring(page, approve(url))) == "Confirm on the terminal"
        terminal.read_screen_until(ASKED.format(ADA.email))
        sent_on = fetch(scene.port, approve(url).partition(str(scene.port))[2])
        assert sent_on.status_code == 303
        assert not scene.auth_file.exists()
        terminal.send("n\r")
        assert terminal.wait() == 0
        assert "The browser brought the answer" in terminal.text
    assert scene.auth_file.exists()
    assert len(scene.exchanges()) == 2
    scene.assert_port_is_free()


def test_ctrl_c_at_the_question_ends_it(machine: Machine) -> None:
    """Nothing is written, and the tokens that are here already are revoked."""
    with Terminal(*PHONE, environ=machine.environ) as terminal:
        url, page = page_on(terminal)
        bring(page, approve(url))
        terminal.read_screen_until(ASKED.format(ADA.email))
        terminal.send("\x03")
        assert terminal.wait() == 130
        assert terminal.attributes == terminal.attributes_before
    assert not machine.auth_file.exists()
    assert len(machine.issuer.revoked) == 1


def test_the_question_ends_with_the_time(machine: Machine) -> None:
    """The sign-in's own; then it has timed out."""
    with Terminal(*PHONE, "--timeout", "6", environ=machine.environ) as terminal:
        url, page = page_on(terminal)
        bring(page, approve(url))
        terminal.read_screen_until(ASKED.format(ADA.email))
        assert terminal.wait() == 5
    assert not machine.auth_file.exists()


def test_a_long_name_is_seen_whole(machine: Machine) -> None:
    """A question that is cut at the edge would ask for another one."""
    machine.issuer.person = replace(ADA, email=f"ada@example.com{'.x' * 30}.evil.example")
    with Terminal(*PHONE, environ=machine.environ) as terminal:
        url, page = page_on(terminal)
        bring(page, approve(url))
        terminal.read_screen_until(r"Sign in this machine so\? \[y/N\]")
        assert "evil.example" in "".join(terminal.screen.display)


def test_for_another_machine(machine: Machine, tmp_path: Path) -> None:
    """By `--to`: the question names it, and nothing becomes present here."""
    with Terminal(*PHONE, "--to", str(tmp_path / "there"), environ=machine.environ) as terminal:
        url, page = page_on(terminal)
        bring(page, approve(url))
        terminal.read_screen_until(r"\[y/N\]")
        assert re.search(r"Sign in (/\S+there as|it so)", " ".join(terminal.lines))
        terminal.send("y\r")
        assert terminal.wait() == 0
    assert (tmp_path / "there" / "auth.json").exists()
    assert not machine.auth_file.exists()


def test_expected_nobody_is_asked(machine: Machine) -> None:
    """Without a terminal: a program hears of the page and of each wrong answer; a stranger's tokens
    are revoked and end nothing."""
    words = (*PHONE, "--expect", ADA.email, "--json")
    with Piped(*words, environ=machine.environ, stdin=subprocess.DEVNULL) as program:
        url = program.read_url()
        page = program.read_until(r"(?m)^http://127.0.0.1:\d+/\S{22}\n").split("\n")
        (address,) = [line for line in page if re.fullmatch(r"http://127.0.0.1:\d+/\S{22}", line)]
        machine.issuer.person = GRACE
        assert titled(bring(address, "hello"))
        bring(address, approve(url))
        program.read_until("Nothing was written")
        assert "not of ada@example.com" in titled(requests.get(address, timeout=PATIENCE))
        machine.issuer.person = ADA
        bring(address, approve(url))
        outcome = assert_ended(program.finish(), 0)
    events = [each["event"] for each in events_in(outcome.out)]
    assert events == ["authorize", "phone_page", "rejected", "rejected", "signed_in"]
    assert events_in(outcome.out)[1]["url"] == address
    assert machine.present[0] == ADA.user_id
    assert len(machine.issuer.revoked) == 1


def test_without_a_terminal_beside_a_code(machine: Machine) -> None:
    """A program is told code, address and page; what comes by the page wins."""
    options = ("--device-auth", "--expect", ADA.email, "--json", *PHONE[2:])
    stdin = subprocess.DEVNULL
    with Piped("login", *options, environ=machine.environ, stdin=stdin) as program:
        assert program.process.stdout
        code, page = (json.loads(program.process.stdout.readline()) for _ in range(2))
        bring(page["url"], approve(code["address"]["url"]))
        outcome = assert_ended(program.finish(), 0)
    assert [each["event"] for each in events_in(outcome.out)] == ["signed_in"]
    assert machine.present[0] == ADA.user_id


UNUSABLE = [
    (("--phone",), 2, "--phone needs a terminal"),
    (("--phone-bind", "127.0.0.1"), 2, "--phone-bind goes with --phone"),
    (("--phone", "--with-api-key"), 2, "are different sign-ins"),
    (("--phone", "--expect", "x", "--phone-bind", "server.example"), 2, "no name"),
    (("--phone", "--expect", "x", "--phone-bind", "203.0.113.77"), 6, "203.0.113.77: "),
]


@pytest.mark.parametrize(("options", "exit_code", "said"), UNUSABLE)
def test_what_cannot_be_is_said_before_the_address(
    options: tuple[str, ...], exit_code: int, said: str, machine: Machine
) -> None:
    outcome = machine.run("login", *options)
    assert_ended(outcome, exit_code, said)
    assert "authorize?" not in outcome.err


def test_a_port_that_is_taken_is_named(machine: Machine) -> None:
    with listen_at("127.0.0.1", port := free_port()):
        outcome = machine.run(*PHONE[:-1], f"127.0.0.1:{port}", "--expect", "x")
    reason = "" if sys.platform == "win32" else "Address already in use"  # Windows' own sentence
    assert_ended(outcome, 6, f"127.0.0.1 port {port}: {reason}")


@pytest.mark.parametrize(
    ("term", "terminal", "expected"),
    [
        ("linux", "/dev/pts/0", True),
        ("vt220", "/dev/ttyS0", True),
        ("xterm-256color", "/dev/hvc0", True),
        ("xterm-256color", "/dev/ttyAMA0", True),
        ("xterm-256color", "/dev/pts/3", False),
        ("xterm-kitty", "", False),
    ],
)
def test_where_nothing_can_be_pasted(term: str, terminal: str, expected: bool) -> None:
    """A console or a serial line, by its name or its kind."""
    assert takes_no_paste({"TERM": term}, terminal) is expected


@pytest.mark.parametrize("term", ["linux", "xterm-256color"])
def test_it_is_named_where_nothing_can_be_pasted(term: str, machine: Machine) -> None:
    with Terminal(
        "login", "--paste-redirect", environ=machine.environ | {"TERM": term}
    ) as terminal:
        terminal.read_question()
        assert ("can bring it back: --phone" in " ".join(terminal.text.split())) is (
            term == "linux"
        )


# The screen.


@pytest.mark.parametrize(
    ("mode", "size"),
    [("auto", (80, 24)), ("auto", (80, 23)), ("auto", (132, 60)), ("always", (60, 20))],
)
def test_the_short_code_fits_with_all_words(
    mode: str, size: tuple[int, int], machine: Machine
) -> None:
    """Address, code, words and question on one screen, for two decoders."""
    options = ("--qr", mode)
    with Terminal(
        *PHONE, *options, environ=machine.environ, columns=size[0], rows=size[1]
    ) as terminal:
        url = terminal.read_question()
        (first,) = read_by_zxing(picture_of(terminal.screen)) if mode == "auto" else ["http"]
        shown = "".join(terminal.screen.display)
        if mode == "auto":
            assert read_by_zbar(picture_of(terminal.screen)) == [first]
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[A-Za-z0-9_-]{22}", first)
            assert url in shown
            words = " ".join(re.sub("[▀▄█]", " ", shown).split())
            for phrase in ("phone on the same network", "you are asked here", "signs in as you"):
                assert phrase in words
        else:
            tall = pyte.Screen(size[0], 60)
            pyte.ByteStream(tall).feed(terminal.output)
            assert len(read(picture_of(tall))) == 1
        assert PROMPT in shown or "Paste the address" in shown


def test_inside_tmux(machine: Machine, tmp_path: Path) -> None:
    """80 by 24 with its status line, which leaves 23 rows."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    own = ["tmux", "-L", "phone"]
    environ = machine.environ | {"TMUX_TMPDIR": str(tmp_path)}
    command = [*own, "-f", os.devnull, "new-session", f"{COMMAND} {' '.join(PHONE)}"]
    with Terminal(environ=environ, command=command) as terminal:
        try:
            terminal.read_screen_until(PROMPT)
            # As tmux has it: its outer terminal is scrolled by means that the emulator lacks.
            capture = [*own, "capture-pane", "-e", "-p", "-N"]
            done = subprocess.run(capture, env=environ, check=True, capture_output=True, timeout=20)
        finally:
            subprocess.run([*own, "kill-server"], env=environ, check=False, capture_output=True)
    screen = pyte.Screen(80, 23)
    pyte.ByteStream(screen).feed(done.stdout.rstrip(b"\n").replace(b"\n", b"\r\n"))
    (page,) = read(picture_of(screen))
    assert page.startswith("http://127.0.0.1:")
    shown = "".join(screen.display)
    for phrase in ("/oauth/authorize?", "originator=codex_cli_rs", page, "in as you.", PROMPT):
        assert phrase in shown


def test_its_keys(machine: Machine) -> None:
    """`q` hides and shows the short code, `a` shows both addresses."""
    with Terminal(*PHONE, environ=machine.environ, rows=30) as terminal:
        url, page = page_on(terminal)
        terminal.send("q")
        terminal.until(lambda: not read(picture_of(terminal.screen)), "end of the code")
        assert page in "".join(terminal.lines)
        terminal.send("q")
        terminal.until(lambda: read(picture_of(terminal.screen)) == [page], "code")
        terminal.send("a")
        terminal.read_until(f"{re.escape(url)}\r\n{page}\r\n")


# Where it is.

ANY = "0.0.0.0"  # noqa: S104


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.10", ("192.0.2.10", 0)),
        ("192.0.2.10:8080", ("192.0.2.10", 8080)),
        ("[2001:db8::10]:8080", ("2001:db8::10", 8080)),
        ("[2001:db8::10]", ("2001:db8::10", 0)),
        ("2001:db8::10", ("2001:db8::10", 0)),
        ("127.0.0.1", ("127.0.0.1", 0)),
        *((each, None) for each in ("", "server", ANY, "::", "[::]:80", "fe80::1", "192.0.2.1:x")),
        *((each, None) for each in ("fe80::1%eth0", "[fe80::1%eth0]:80", "192.0.2.1:65536", "1:2")),
    ],
)
def test_what_names_an_address(text: str, expected: tuple[str, int] | None) -> None:
    """One of this machine, with or without a port; no name, not all, none with a scope."""
    if expected:
        assert read_bind(text) == expected
    else:
        with pytest.raises(WrongUsage, match="--phone-bind"):
            read_bind(text)


@pytest.mark.parametrize(
    ("ssh", "routes", "expected"),
    [
        ("100.101.102.103", "192.0.2.7", ["100.101.102.103", "192.0.2.7"]),
        ("fd7a:115c:a1e0::1", "", ["fd7a:115c:a1e0::1"]),
        ("", "192.0.2.7 2001:db8::7", ["192.0.2.7", "2001:db8::7"]),
        ("127.0.0.1", "192.0.2.7", ["192.0.2.7"]),
        ("::1", "", []),
        ("fe80::1%eth0", ANY, []),
        ("no-address", "127.0.0.1", []),
    ],
)
def test_the_likeliest_address(ssh: str, routes: str, expected: list[str]) -> None:
    """That of the ssh session first, by a VPN, too; then those of the default routes."""

    def find_own(family: int, _: str) -> str:
        for each in routes.split():
            if (":" in each) is (family == socket.AF_INET6):
                return each
        raise OSError

    place = Place(ssh=SshConnection("ada", ssh, 22) if ssh else None)
    assert [*addresses_for_phone(place, find_own=find_own)] == expected


def test_the_first_address_that_can_be_had() -> None:
    """A stale sign of ssh gives way; none at all is said, with the option that names one."""
    place = Place(ssh=SshConnection("ada", "203.0.113.5", 22))
    tried = []

    def refuse(address: str, _: int) -> socket.socket:
        tried.append(address)
        raise OSError(99, "Cannot assign requested address")

    with pytest.raises(LocalTrouble, match="No page for a phone") as raised:
        bind_page(None, place, listen=refuse)
    assert tried[0] == "203.0.113.5"
    assert raised.value.error == "port_unavailable"
    assert "--phone-bind" in raised.value.hint


@pytest.mark.parametrize(
    ("place", "address", "said"),
    [
        (Place(), "192.0.2.7", ""),
        (Place(container="docker"), "172.17.0.2", "docker run -p 8080:8080"),
        (Place(container="podman"), "10.88.0.2", "--phone-bind 10.88.0.2:8080"),
        (Place(container="kubernetes", pod=("team", "box")), "10.1.0.2", "port-forward --address"),
        (Place(wsl=True), "172.20.1.2", "connectaddress=172.20.1.2"),
        (Place(), "::1", "ssh -N -L 8080:[::1]:8080"),
        (Place(container="docker"), "127.0.0.1", "ssh -N -L 8080:127.0.0.1:8080"),
    ],
)
def test_where_a_phone_does_not_reach_it(place: Place, address: str, said: str) -> None:
    """Said, with the line that publishes it."""
    lines = advice(place, address, 8080)
    assert said in "\n".join(lines)
    assert bool(lines) is bool(said)


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="/proc is Linux's")
@pytest.mark.parametrize("options", [("login", "--port"), (*PHONE, "--port")])
def test_it_listens_where_it_says(options: tuple[str, ...], machine: Machine) -> None:
    """Every socket of the process: loopback alone without `--phone`, and with it one more."""
    port = free_port()
    with Terminal(*options, str(port), environ=machine.environ) as terminal:
        terminal.read_question()
        listening = _listening(terminal.process.pid)
    if "--phone" in options:
        assert [address for address, _ in listening] == ["0100007F"]
    else:
        assert {address for address, _ in listening} <= {"0100007F", f"{'0' * 24}01000000"}
        assert {each for _, each in listening} == {port}


def _listening(pid: int) -> list[tuple[str, int]]:
    """Return address (in the kernel's hexadecimal) and port of what a process listens on."""
    links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    ours = {link[8:-1] for link in links if link.startswith("socket:[")}
    found = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if inode in ours and (state == "0A" or name.startswith("udp")):
                address, _, port = local.partition(":")
                found.append((address, int(port, 16)))
    return found
