"""Device codes against an issuer that misbehaves on demand; no test sleeps."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headless_login.codex.home import CodexHome
from headless_login.commands import words
from headless_login.commands.context import Context, Options
from headless_login.commands.conversation import Conversation
from headless_login.commands.device import OneTimeCode, large
from headless_login.commands.login import login
from headless_login.delivery.destination import CodexFolder
from headless_login.errors import HeadlessLoginError, IssuerTrouble
from headless_login.flows.device import win_by_device_code
from headless_login.issuer.client import IssuerClient
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.device import read_device_code, read_poll
from headless_login.oauth.provider import CODEX, Provider
from headless_login.oauth.values import DeviceCode, Grant
from headless_login.practice.issuer import Answer
from headless_login.practice.person import approve_device
from headless_login.practice.wire import Parameters, json_answer, nested, text_answer
from headless_login.signin import begin
from headless_login.terminal.output import Console, Output
from tests.support.misbehaving import AnsweringIssuer
from tests.support.program import Terminal
from tests.support.stored_files import OLD
from tests.support.two_calls import exchanges

NOW = 1_800_000_000.0


def _error(status: int, code: str, message: str = "") -> Answer:
    return nested(status, code, message)


def _flat(code: str) -> Answer:
    """Return an error in OAuth's own words."""
    return json_answer(400, {"error": code})


PENDING = _error(403, "deviceauth_authorization_pending")
DROPPED = Answer(-1)  # the connection is cut without an answer
GOOD = Answer(0)  # the practice issuer's own answer, after the person approved


class Clock:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class DeviceSignIn:
    """All that came of a sign-in; the script answers polls, `changes` are made in a good code."""

    def __init__(
        self, codex_home: Path, *script: Answer, codes: Answer | None = None, **changes: Any
    ) -> None:
        (codex_home / "auth.json").write_bytes(OLD)
        self.clock = Clock()
        self.error: HeadlessLoginError | None = None
        shown = io.StringIO()
        polls = [0.0]
        answers = iter(script)

        def poll(form: Parameters) -> Answer | None:
            polls.append(self.clock.now)
            answer = next(answers, PENDING)
            if answer is DROPPED:
                raise ConnectionAbortedError  # the server closes the connection
            if answer is not GOOD:
                return answer
            approve_device(f"{issuer.issuer}/codex/device", form["user_code"])
            return None

        with AnsweringIssuer() as issuer:
            issuer.polls, issuer.codes, issuer.code_changes = poll, codes, changes
            output = Output(Console(shown, {}))
            context = Context(output, {}, clock=self.clock, pause=self.clock.sleep)
            home = CodexHome(str(codex_home))
            options = Options(home, CodexFolder(home), Provider(issuer.issuer), device=True)
            try:
                if codes:  # `login` would go on by paste
                    begin(options.provider, device=True, client=context.client(options.provider))
                login(options, context)
            except HeadlessLoginError as error:
                self.error = error
            self.exchanges = exchanges(issuer)
        self.shown = shown.getvalue()
        self.pauses = [round(b - a, 3) for a, b in pairwise(polls)]
        self.written = (codex_home / "auth.json").read_bytes() != OLD
        self.left = {path.name for path in codex_home.iterdir()}

    def assert_failed(self, error: str, exit_code: int | str, phrase: str) -> None:
        """Fail unless it ended like that: nothing exchanged, written or left, no secret told."""
        assert self.error is not None
        assert (self.error.error, self.error.exit_code) == (error, int(exit_code))
        assert phrase in self.error.message
        assert (self.exchanges, self.written, self.left) == (0, False, {"auth.json"})
        everything = self.shown + self.error.message + self.error.hint
        assert not [secret for secret in ("MARKED-SECRET", VERIFIER) if secret in everything]


@pytest.fixture
def sign_in(codex_home: Path) -> Callable[..., DeviceSignIn]:
    return partial(DeviceSignIn, codex_home)


UNKNOWN = _error(404, "deviceauth_authorization_unknown")
CHALLENGE = Answer(403, b"<html>Just a moment", (("cf-mitigated", "challenge"),))
# What goes on: answers, then the pauses before each poll.
GOES_ON: dict[str, tuple[list[Answer], list[float]]] = {
    "at once": ([GOOD], [5]),
    "pending": ([PENDING, PENDING, GOOD], [5, 5, 5]),
    "pending as 404": ([UNKNOWN, GOOD], [5, 5]),
    "pending in OAuth's words": ([_flat("authorization_pending"), GOOD], [5, 5]),
    "an empty 403": ([Answer(403), Answer(404), GOOD], [5, 5, 5]),
    "a 403 of plain text": ([text_answer(403, "Not yet."), GOOD], [5, 5]),
    "slow_down": ([_error(403, "slow_down"), PENDING, GOOD], [5, 10, 10]),
    "slow_down twice": ([_flat("slow_down"), _flat("slow_down"), GOOD], [5, 10, 15]),
    "429": ([text_answer(429, "Slow."), PENDING, GOOD], [5, 10, 5]),
    "503 in a row": ([Answer(503)] * 5 + [GOOD], [5, 10, 20, 40, 60, 60]),
    "503 with the word pending": ([_error(503, "authorization_pending"), GOOD], [5, 10]),
    "502 of HTML": ([Answer(502, b"<html>Bad gateway</html>"), GOOD], [5, 10]),
    "a challenge": ([CHALLENGE, GOOD], [5, 10]),
    "a cut connection": ([DROPPED, DROPPED, GOOD], [5, 10, 20]),
}


@pytest.mark.parametrize("case", GOES_ON)
def test_what_may_pass_is_ridden_out(case: str, sign_in: Callable[..., DeviceSignIn]) -> None:
    """The sign-in comes to its good end, with as many requests as needed and no hurry."""
    script, pauses = GOES_ON[case]
    done = sign_in(*script)
    assert done.error is None, done.shown
    assert (done.pauses, done.exchanges, done.written) == (pauses, 1, True)


VERIFIER = "v" * 64
HALF = {"authorization_code": "ac_MARKED-SECRET", "code_challenge": "x"}
FOREIGN = HALF | {"code_verifier": VERIFIER}
TORN = Answer(200, b'{"authorization_code": "ac_practice', (("Content-Length", "400"),))
COUNTRY = _error(403, "unsupported_country_region_territory")
EXPIRED = "device_code_expired 5 1 has expired"
LOST = "token_response_invalid 4 1 was lost"
# What ends it: answers; then error word, exit code, how many polls, and a phrase.
ENDS: dict[str, tuple[list[Answer], str]] = {
    "denied": ([PENDING, _error(403, "access_denied")], "access_denied 3 2 was denied"),
    "declined": ([_error(403, "authorization_declined")], "access_denied 3 1 was denied"),
    "expired": ([_error(403, "deviceauth_expired")], EXPIRED),
    "by its message": ([_error(403, "", "Device authorization code has expired")], EXPIRED),
    "expired in OAuth's words": ([_flat("expired_token")], EXPIRED),
    "never reachable": ([DROPPED] * 500, "device_code_expired 5 17 has expired"),
    "another country": ([COUNTRY], "unsupported_country 4 1 country"),
    "a broken answer": ([_error(400, "invalid_client")], "token_response_invalid 4 1 400"),
    "a 200 of HTML": ([Answer(200, b"<html>")], LOST),
    "an empty 200": ([Answer(200)], LOST),
    "a torn 200": ([TORN], LOST),
    "a 200 without a verifier": ([json_answer(200, HALF)], LOST),
    "a foreign challenge": ([json_answer(200, FOREIGN)], "token_response_invalid 4 1 does not fit"),
}


@pytest.mark.parametrize("case", ENDS)
def test_what_will_not_pass_ends_it(case: str, sign_in: Callable[..., DeviceSignIn]) -> None:
    """Its own words and exit code, no further question, nothing exchanged, nothing written."""
    script, expected = ENDS[case]
    error, exit_code, polls, phrase = expected.split(maxsplit=3)
    done = sign_in(*script)
    done.assert_failed(error, exit_code, phrase)
    assert len(done.pauses) == int(polls)
    assert done.clock.now <= 900


UNUSABLE = "token_response_invalid 4 without a one-time code"
HOSTILE = {"device_auth_id": "x", "user_code": "\x1b[2J"}
NO_CODE: dict[str, tuple[Answer, str]] = {
    "not enabled": (_error(404, "not_found"), "device_auth_disabled 3 does not offer"),
    "busy": (Answer(503), "issuer_unreachable 4 HTTP 503"),
    "too many": (Answer(429), "issuer_unreachable 4 HTTP 429"),
    "a challenge": (Answer(403, b"<html>"), "challenge_page 4 challenge"),
    "HTML": (Answer(200, b"<html>"), UNUSABLE),
    "no code": (json_answer(200, {}), UNUSABLE),
    "a hostile code": (json_answer(200, HOSTILE), UNUSABLE),
}


@pytest.mark.parametrize("case", NO_CODE)
def test_without_a_code_nothing_is_shown(case: str, sign_in: Callable[..., DeviceSignIn]) -> None:
    """The request for a code fails in its own words."""
    answer, expected = NO_CODE[case]
    done = sign_in(codes=answer)
    done.assert_failed(*expected.split(maxsplit=2))
    assert done.shown == ""


@pytest.mark.parametrize(("expires_in", "polls"), [(None, 14), (120, 1)])
def test_a_code_that_nobody_uses_expires(
    expires_in: float | None, polls: int, sign_in: Callable[..., DeviceSignIn]
) -> None:
    """It is asked about at the issuer's interval for as long as it is valid, and no longer."""
    done = sign_in(interval="60", expires_at=None, expires_in=expires_in)
    done.assert_failed("device_code_expired", 5, "has expired")
    assert done.pauses == [60] * polls
    assert done.clock.now == (expires_in or 900)


def _code(**changes: object) -> DeviceCode:
    document = {"device_auth_id": "x", "user_code": "ABCD-1234", **changes}
    return read_device_code(200, {}, json.dumps(document).encode(), provider=CODEX, now=NOW)


ODD_INTERVALS = [None, -3, "soon", True, 1e9, 61, [5]]
INTERVALS = [("5", 5), (7, 7), ("2.5", 2.5), (0, 1), ("0", 1), (0.2, 1)]


@pytest.mark.parametrize(("interval", "pause"), [*INTERVALS, *((odd, 5) for odd in ODD_INTERVALS)])
def test_the_pause_between_polls(interval: object, pause: float) -> None:
    """A string or a number; at least a second, five where nobody says anything sensible."""
    assert _code(interval=interval).interval == pause


LIFETIMES: list[tuple[dict[str, object], float]] = [
    ({}, 900),
    ({"expires_in": 120}, 120),
    ({"expires_in": "120"}, 120),
    ({"expires_in": 99999}, 900),
    ({"expires_at": "2027-01-15T08:02:00Z"}, 120),
    ({"expires_at": NOW + 120}, 120),
    ({"expires_at": "2001-01-01T00:00:00Z"}, 900),
    ({"expires_at": "whenever"}, 900),
    ({"expires_at": 12}, 900),
    ({"expires_at": 1e300}, 900),
]


@pytest.mark.parametrize(("changes", "seconds"), LIFETIMES)
def test_how_long_it_is_waited(changes: dict[str, object], seconds: float) -> None:
    """Until the code expires, a quarter of an hour at most; a clock that is wrong is no reason."""
    assert _code(**changes).expires_in == seconds


def test_the_older_name_of_the_code_is_read() -> None:
    assert _code(user_code=None, usercode="WXYZ-9876").user_code == "WXYZ-9876"


def test_page_and_code_stand_alone_on_their_lines(sign_in: Callable[..., DeviceSignIn]) -> None:
    """Each can be copied; validity, warning and the way out are said beside them."""
    lines = sign_in(GOOD).shown.splitlines()
    lines = lines[lines.index(words.OPEN_PAGE) :]
    assert lines[1].endswith("/codex/device")
    assert "valid for 15 minutes" in lines[2]
    assert len(lines[3]) == 9
    assert "only if you started this sign-in yourself" in lines[4]
    assert "ChatGPT Settings, Security" in lines[5]
    assert "--paste-redirect" in lines[5]


@pytest.mark.parametrize(("columns", "rows"), [(30, 15), (44, 24), (50, 20), (61, 24)])
def test_a_narrow_screen_breaks_nothing(columns: int, rows: int, environ: dict[str, str]) -> None:
    """Words stay whole, and letters that do not fit in one row stand in two, or not at all."""
    arguments = ("login", "--device-auth")
    with Terminal(*arguments, environ=environ, columns=columns, rows=rows) as terminal:
        terminal.read_until("Waiting for you")
        texts = terminal.text.partition("\x1b")[0].splitlines()
        assert [text for text in texts if len(text) > columns and " " in text] == []
        code = next(text for text in texts if re.fullmatch(r"\w{4}-\w{4}", text))
        drawn = [text for text in texts if re.search("[▀▄█]", text)]
        halves = [line for half in (code[:5], code[5:]) for line in large(half)]
        assert drawn in ([], halves, large(code))
        assert bool(drawn) is (columns > 30)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "1 second"), (1, "1 second"), (4, "4 seconds"), (90, "90 seconds"), (900, "15 minutes")],
)
def test_times_in_words(seconds: float, told: str) -> None:
    """In the unit that tells it best, and in the right number."""
    assert words.duration(seconds) == told


def test_trouble_is_told_once(sign_in: Callable[..., DeviceSignIn]) -> None:
    """A person who waits should know why; not every ten seconds anew."""
    done = sign_in(Answer(503), Answer(503), Answer(503), GOOD)
    assert done.shown.count("The issuer is busy or broken (HTTP 503). Asking again.") == 1


@pytest.mark.parametrize("error", ["issuer_unreachable", "tls_error", "challenge_page"])
def test_every_trouble_of_the_way_is_ridden_out(error: str) -> None:
    """Time-outs, name servers, TLS, a challenge in between: asked again, ever more slowly."""
    clock = Clock()
    grant = Grant("ac_x", "v", CODEX.below("/deviceauth/callback"))
    asked: list[float] = []
    heard: list[IssuerTrouble] = []

    async def poll(left: float) -> Grant:
        asked.append(clock.now)
        assert left == 100 - clock.now
        if len(asked) < 4:
            raise IssuerTrouble(error, "It may pass.")
        return grant

    code = _code(interval=3, expires_in=100)
    winning = win_by_device_code(
        code, poll, clock=clock, sleep=clock.sleep, on_trouble=heard.append
    )
    assert asyncio.run(winning) is grant
    assert asked == [3, 9, 21, 45]
    assert [trouble.error for trouble in heard] == [error] * 3


class InterruptedTerminal(io.StringIO):
    """A terminal where Ctrl-C comes the moment that the waiting line is on the screen."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        super().write(text)
        if text.endswith("left"):
            raise KeyboardInterrupt
        return len(text)


class _Able(Console):
    is_dumb = False


def test_what_shows_no_sequences_is_dumb() -> None:
    """Windows is asked; a terminal that is none of its own, such as IDLE's, follows none."""
    assert Console(InterruptedTerminal(), {}).is_dumb == (sys.platform == "win32")


def test_an_interrupt_leaves_no_line_standing() -> None:
    """Not even one that comes between the writing of the waiting line and the next step."""
    screen, clock = InterruptedTerminal(), Clock()
    context = Context(Output(_Able(screen, {})), {}, clock=clock, pause=clock.sleep)
    attempt = Attempt(CODEX, _code(), 900)
    code, left = OneTimeCode(context, CODEX, attempt=attempt), context.countdown(900)
    with (
        pytest.raises(KeyboardInterrupt),
        Conversation(attempt, context, left, code=code, asks=False) as talk,
    ):
        talk.win()
    assert screen.getvalue().endswith("15:00 left\r\x1b[K")


def test_a_server_that_hangs_after_its_headers_has_answered() -> None:
    """A 200 whose body never comes is over: it is not asked for twice."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = IssuerClient(Provider(f"http://127.0.0.1:{server.getsockname()[1]}"), environ={})

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
                held.wait(10)

        held = threading.Event()
        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(IssuerTrouble, match="was lost"):
            client.poll_device_code(_code(), timeout=0.5)
        held.set()


NAMES = ["error", "code", "message", "interval", "user_code", "expires_at"]
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=12),
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=6,
)


@given(st.integers(100, 599), DOCUMENTS | st.binary(max_size=80).map(lambda raw: raw.hex()))
def test_no_answer_leads_to_anything_but_words(status: int, document: object) -> None:
    body = json.dumps(document).encode()
    for judge in (
        lambda: read_device_code(status, {}, body, provider=CODEX, now=NOW),
        lambda: read_poll(status, {}, body, provider=CODEX),
    ):
        value: object
        try:
            value = judge()
        except HeadlessLoginError as error:
            value = error
        assert value


def test_every_letter_of_a_code_can_be_drawn() -> None:
    """Three lines, none wider than a small terminal, and all different."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
    assert len({tuple(large(letter)) for letter in letters}) == len(letters)
    assert max(map(len, large("MMMM-WWWW"))) <= 61
    assert large("MMMM-WWWW") == large("mmmm-wwww")
    assert large("Ä") == []
