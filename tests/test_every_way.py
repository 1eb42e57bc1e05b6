"""Browser, paste, one-time code and phone in one run: the first wins, each is told the truth."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import combinations
from typing import Any

import pytest
import requests

from headless_login.practice.person import approve, approve_device
from headless_login.practice.wire import Answer, nested
from tests.support.browsing import follow
from tests.support.listening import PATIENCE
from tests.support.people import ADA
from tests.support.program import PROMPT, Terminal, assert_ended, validator
from tests.support.scene import Scene
from tests.support.two_calls import FINISH, LOST, START, TwoCalls

TOLD = {
    "browser": "The browser brought the answer",
    "paste": "The pasted answer is accepted",
    "code": "Approved; fetching",
    "phone": "The phone page brought an answer",
}
PAIRS = [" ".join(pair) for pair in combinations(TOLD, 2)]
CODE = r"(?m)^([A-Z0-9]{4}-[A-Z0-9]{4})\s*$"
ON_PHONE = ("--phone", "--phone-bind", "127.0.0.1", "--expect", ADA.email)
PASTE, DEVICE = ("login", "--paste-redirect"), ("login", "--device-auth")


def _code_on(terminal: Terminal, times: int = 1) -> str:
    """Return the one-time code once it has been shown so often, above the question."""
    found = re.compile(CODE)
    terminal.until(lambda: len(found.findall(terminal.text)) >= times, "code")
    terminal.read_screen_until(f"{PROMPT}|Waiting for you to approve there: ")
    return str(found.findall(terminal.text)[-1])


def _ask_for_code(terminal: Terminal, times: int = 1) -> str:
    terminal.send("d")
    return _code_on(terminal, times)


def _bring(terminal: Terminal, answer: str) -> str:
    """Bring an answer to the phone's page; returns what the page shows at the end, if anything."""
    found = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{22}", terminal.text)
    assert found
    with suppress(OSError):  # another was quicker, and the page is gone
        shown = requests.post(found[0], data={"answer": answer}, timeout=PATIENCE).text
        if "Signed in to Codex" in shown:
            return shown
        return requests.get(f"{found[0]}?wait", timeout=PATIENCE).text
    return ""


@pytest.mark.parametrize("ways", [*PAIRS, *TOLD, " ".join(TOLD)])
def test_answers_at_the_same_moment(ways: str, scene: Scene) -> None:
    """Exactly one exchange and one file, one word of who won, and no page says otherwise."""
    pages: list[str] = []
    issuer, present = scene.issuer, ways.split()

    def browse(answer: str) -> None:
        with suppress(OSError):  # another was quicker, and the port is closed
            pages.append(follow(answer).text)

    def bring(answer: str) -> None:
        pages.extend(filter(None, [_bring(terminal, answer)]))

    with scene.terminal(*(ON_PHONE if "phone" in present else ())) as terminal:
        url = terminal.read_question()
        issuer.may_poll.clear()
        code = _ask_for_code(terminal)
        assert issuer.polled.wait(PATIENCE)  # it is on its way while all others answer
        if "code" in present:
            approve_device(f"{issuer.issuer}/codex/device", code)
        browser = threading.Thread(target=browse, args=(approve(url),))
        phone = threading.Thread(target=bring, args=(approve(url),))
        answer = approve(url)
        ways_by: dict[str, Callable[[], object]] = {
            "code": issuer.may_poll.set,
            "browser": browser.start,
            "phone": phone.start,
            "paste": lambda: terminal.paste(answer),
        }
        for way in filter(present.__contains__, ways_by):
            ways_by[way]()
        assert terminal.wait() == 0
        for thread in (browser, phone):
            if thread.ident:
                thread.join()
        winners = [way for way, told in TOLD.items() if told in terminal.text]
        assert len(winners) == 1
        assert winners[0] in present
        assert not any(PROMPT in line for line in terminal.lines)
        assert terminal.attributes == terminal.attributes_before
    assert len(scene.exchanges()) == 1
    assert scene.auth_file.exists()
    assert all("Signed in to Codex" in page for page in pages)
    scene.assert_port_is_free()


def _gone(status: int, code: str, message: str = "") -> Callable[..., Answer]:
    return lambda *_: nested(status, code, message)


# How a code comes to its end: what the issuer does, and what is said of it.
ENDS: dict[str, tuple[dict[str, Any], str]] = {
    "not offered": ({"codes": Answer(404)}, "does not offer device codes here; this sign-in goes"),
    "denied": ({"polls": nested(403, "access_denied", "")}, "was denied; this sign-in goes on"),
    "expired": (
        {"code_changes": {"interval": 1, "expires_in": 1}},
        "has expired before it was used;",
    ),
    "another country": (
        {"polls": nested(403, "unsupported_country_region_territory", "")},
        "; this sign-in goes on without a code (d: another one).",
    ),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("words", [PASTE, DEVICE], ids=" ".join)
def test_a_code_ends_alone(words: tuple[str, ...], end: str, calls: TwoCalls) -> None:
    """It is said in one sentence; `d` gets another one where that makes sense, a paste wins."""
    if words == DEVICE and end == "not offered":
        pytest.skip("the address is shown at once: test_device_outside")
    changes, told = ENDS[end]
    calls.issuer.code_changes = {"interval": 1, "expires_at": None}
    for name, value in changes.items():
        setattr(
            calls.issuer, name, value | {"expires_at": None} if name == "code_changes" else value
        )
    with calls.terminal(*words) as terminal:
        if words == PASTE:
            terminal.read_question()
            terminal.send("d")
        terminal.until(lambda: told in " ".join(terminal.text.split()), told)
        terminal.read_screen_until(PROMPT)
        calls.issuer.codes = calls.issuer.polls = None
        _ask_for_code(terminal, 1 if end == "not offered" else 2)
        terminal.send("a")
        shown = 1 + (words == PASTE)
        terminal.until(lambda: terminal.text.count("/oauth/authorize?") == shown, "address")
        terminal.paste(approve(terminal.read_url()))
        assert terminal.wait() == 0
        assert TOLD["paste"] in terminal.text
    assert calls.exchanges == 1


def test_a_code_is_shown_again(scene: Scene) -> None:
    """`d` asks once; program and person get the same code, in an event and in large letters."""
    with scene.terminal("--json") as terminal:
        terminal.read_question()
        assert _ask_for_code(terminal) == _ask_for_code(terminal, 2)
        (line,) = re.findall(r'\{"event": "device_code".*\}', terminal.text)
        validator("events").validate(json.loads(line))
        assert re.search("[▀▄█]", "".join(terminal.lines))
        terminal.send("\x03")
        assert terminal.wait() == 130
    asked = [each.path for each in scene.issuer.requests if each.path.endswith("/usercode")]
    assert len(asked) == 1


def test_device_auth_takes_an_address(calls: TwoCalls) -> None:
    """One sentence beside the code names the key; `q` hides the page's QR code; the paste wins."""
    with calls.terminal(*DEVICE) as terminal:
        terminal.read_screen_until("Waiting for you to approve there: ")
        said = "If the page says codes are switched off, press a"
        assert sum(said in line for line in terminal.lines) == 1
        assert "/oauth/authorize" not in terminal.text
        terminal.send("q")
        terminal.until(lambda: terminal.text.count(said) == 2, "screen without a QR code")
        terminal.send("a")
        url = terminal.read_question()
        terminal.paste(approve(url))
        assert terminal.wait() == 0
        assert TOLD["paste"] in terminal.text
    assert calls.exchanges == 1
    assert not calls.records


@pytest.mark.parametrize("way", ["phone", "paste", "code"])
def test_device_auth_beside_a_page_for_a_phone(way: str, calls: TwoCalls) -> None:
    """Code and page stand on the screen together, the address on `a`; all ways are open."""
    calls.issuer.code_changes = {"interval": 1}
    with calls.terminal(*DEVICE, *ON_PHONE) as terminal:
        code = _code_on(terminal)
        assert sum("/oauth/authorize" in line for line in terminal.lines) == 0
        terminal.send("a")
        url = terminal.read_question()
        if way == "phone":
            assert "Signed in to Codex" in _bring(terminal, approve(url))
        elif way == "paste":
            terminal.paste(approve(url))
        else:
            approve_device(f"{calls.issuer.issuer}/codex/device", code)
        assert terminal.wait() == 0
        assert TOLD[way] in terminal.text
    assert calls.exchanges == 1


@pytest.mark.parametrize("end", ["paste", "Ctrl-C"])
def test_a_slow_issuer_holds_nothing_up(end: str, scene: Scene) -> None:
    """While a poll hangs, the question answers, and the process ends at once."""
    scene.issuer.may_poll.clear()
    with scene.terminal() as terminal:
        url = terminal.read_question()
        _ask_for_code(terminal)
        assert scene.issuer.polled.wait(PATIENCE)
        terminal.send("x")
        terminal.read_screen_until(r"\(1 character\)")
        terminal.send("\x15")
        terminal.paste(approve(url)) if end == "paste" else terminal.send("\x03")
        assert terminal.wait() == (0 if end == "paste" else 130)
        assert not scene.issuer.may_poll.is_set()  # nobody has answered it


WITHOUT_THREADS = """
import sys, threading

def refuse(self):
    raise RuntimeError("can't start new thread")

threading.Thread.start = refuse
from headless_login.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("way", TOLD)
def test_every_way_wins_where_no_thread_can_be_had(way: str, scene: Scene) -> None:
    """Polls take their turn then."""
    command = (sys.executable, "-c", WITHOUT_THREADS)
    with scene.terminal(*(ON_PHONE if way == "phone" else ()), command=command) as terminal:
        url = terminal.read_question()
        code = _ask_for_code(terminal)
        if way == "phone":
            assert "Signed in to Codex" in _bring(terminal, approve(url))
        elif way == "code":
            approve_device(f"{scene.issuer.issuer}/codex/device", code)
        elif way == "browser":
            follow(approve(url))
        else:
            terminal.paste(approve(url))
        assert terminal.wait() == 0
        assert TOLD[way] in terminal.text


def test_an_approval_outlives_a_damaged_paste(scene: Scene) -> None:
    """The issuer refuses the paste while the approval is on its way, which is given once."""
    issuer = scene.issuer

    def spoil(good: Callable[[], Answer], form: dict[str, str]) -> Answer:
        issuer.spoil = lambda good, _: good()
        issuer.may_poll.set()
        return nested(400, "invalid_grant", "") if form else good()

    issuer.spoil = spoil
    with scene.terminal() as terminal:
        url = terminal.read_question()
        issuer.may_poll.clear()
        approve_device(f"{issuer.issuer}/codex/device", _ask_for_code(terminal))
        assert issuer.polled.wait(PATIENCE)
        terminal.paste(approve(url))
        assert terminal.wait() == 0
        assert "Its code was damaged" in " ".join(terminal.text.split())
        assert TOLD["code"] in terminal.text
    assert len(scene.exchanges()) == 2


@pytest.mark.parametrize("words", [PASTE, DEVICE], ids=" ".join)
def test_ctrl_d_leaves_the_code(words: tuple[str, ...], calls: TwoCalls) -> None:
    """The line says what is waited for, and the approval is noticed."""
    calls.issuer.code_changes = {"interval": 1}
    with calls.terminal(*words) as terminal:
        if words == PASTE:
            terminal.read_question()
            _ask_for_code(terminal)
        terminal.read_screen_until("Paste|Waiting")
        terminal.send("\x04")
        terminal.read_until(r"Waiting for you to approve there, 1[45]:\d\d left")
        (code,) = re.findall(CODE, terminal.text)
        approve_device(f"{calls.issuer.issuer}/codex/device", code)
        assert terminal.wait() == 0


def test_the_time_of_a_shorter_code_is_its_own(scene: Scene) -> None:
    """Both are told: that of the code, and that of the sign-in."""
    scene.issuer.code_changes |= {"expires_in": 120, "expires_at": None}
    with scene.terminal() as terminal:
        terminal.read_question()
        _ask_for_code(terminal)
        terminal.read_screen_until(r"code [12]:\d\d, 1[45]:\d\d left$")
        terminal.send("\x03")
        assert terminal.wait() == 130


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (50, 20), (30, 15)])
@pytest.mark.parametrize("words", [PASTE, DEVICE], ids=" ".join)
def test_a_code_fits_on_the_screen(
    words: tuple[str, ...], columns: int, rows: int, calls: TwoCalls
) -> None:
    """Page, code and question stand together; where there is room, the letters are large."""
    with calls.terminal(*words, columns=columns, rows=rows) as terminal:
        terminal.read_screen_until("Paste the|Waiting for you")
        if words == PASTE:
            terminal.send("d")
        terminal.until(lambda: re.findall(CODE, terminal.text), "code")
        terminal.read_screen_until("^(Paste the|Waiting for you)")
        screen = "\n".join(terminal.lines)
        assert re.search(CODE, screen)
        assert f"{calls.issuer.issuer}/codex/device" in screen.replace("\n", "")
        assert ("▀" in screen) is (columns == 80 or (columns == 50 and words == DEVICE))


# In two calls.


def test_start_gives_both_and_finish_takes_either(calls: TwoCalls) -> None:
    """The address of the same sign-in stands beside the code; what wins ends the other."""
    for way in ("paste", "code"):
        lines = calls.run(*START, "--device-auth").out.splitlines()
        (url,) = [line for line in lines if "/oauth/authorize?" in line]
        if way == "paste":
            assert_ended(calls.finish(approve(url)), 0)
            assert_ended(calls.ask(), 3, "used up")
        else:
            approve_device(lines[1], lines[3])
            assert_ended(calls.ask(), 0)
            assert_ended(calls.finish(approve(url)), 3, "used up")
        assert not calls.records
    assert calls.exchanges == 2


def test_finish_asks_and_polls_at_once(calls: TwoCalls) -> None:
    """On a terminal: whichever comes first, of the same sign-in or of another one."""
    for way in ("paste", "code", "another paste"):
        calls.issuer.code_changes = {"interval": 1}
        (event,) = [json.loads(calls.run(*START, "--device-auth", "--json").out)]
        url = calls.begin() if way == "another paste" else event["address"]["url"]
        with calls.terminal(*FINISH) as terminal:
            terminal.read_until(f"Waiting for the code {event['user_code']}")
            terminal.read_screen_until(PROMPT)
            if way == "code":
                approve_device(event["verification_uri"], event["user_code"])
            else:
                terminal.paste(approve(url))
            assert terminal.wait() == 0
            assert (TOLD["code"] in terminal.text) is (way == "code")
    assert calls.exchanges == 3
    assert len(calls.records) == 2  # of the sign-in that was not answered


def test_an_answer_ends_a_wait_elsewhere(calls: TwoCalls) -> None:
    """One call polls, another one has the address: one exchange, and the first says why it ends."""
    calls.issuer.code_changes = {"interval": 1}
    event = json.loads(calls.run(*START, "--device-auth", "--json").out)
    with calls.piped(*FINISH, "--json") as piped:
        piped.read_until("Waiting for the code")
        assert_ended(calls.finish(approve(event["address"]["url"])), 0)
        outcome = assert_ended(piped.finish(), LOST[0], "used up")
    assert json.loads(outcome.out)["error"] == LOST[1]
    assert calls.exchanges == 1


def test_what_was_shown_stays_pending(calls: TwoCalls) -> None:
    """After SIGTERM `finish` takes either, and then the other one is over."""
    with calls.terminal(*PASTE) as terminal:
        url = terminal.read_question()
        code = _ask_for_code(terminal)
        terminal.interrupt(signal.SIGTERM)
        assert terminal.wait() == 143
        assert re.search(r"(?m)login finish( --codex-home \S+)?\s*$", terminal.text)
    assert len(calls.records) == 2
    approve_device(f"{calls.issuer.issuer}/codex/device", code)
    assert_ended(calls.ask(), 0)
    assert_ended(calls.finish(approve(url)), 3, "used up")
