"""What is taken: in whatever form it is pasted, the very code is sent on, for its own sign-in."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from headless_login.codex.home import CodexHome
from headless_login.codex.pending.record import identifier_of
from headless_login.codex.pending.store import PendingAttempts
from headless_login.commands.pending_answers import PendingAnswers
from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.decodings import Pasted
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from tests.support.pastes import (
    BASE,
    BREAKS,
    CODE,
    COMMANDS,
    FORMS,
    LAYERS,
    QUERY,
    REJECTED,
    REQUEST,
    STATE,
    TERMINALS,
    URL,
    WRAPS,
    Wrap,
    around,
    component_encoded,
    form_encoded,
)

CODE_LAST = f"{BASE}scope=openid&state={STATE}&code={CODE}"


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PendingAnswers]:
    """Judges answers to one sign-in that is pending among others, with other ports, too."""
    home = CodexHome(str(tmp_path_factory.mktemp("codex", numbered=True)))
    others = AuthorizationRequest(CODEX), AuthorizationRequest(CODEX, redirect_uri_for(1457))
    for request in (others[0], REQUEST, others[1]):
        PendingAttempts.keep(home, Attempt(CODEX, request, time.time() + 900))
    with PendingAttempts.opened(home) as pending:
        yield PendingAnswers(pending)


PASTES = FORMS | {name: wrap(URL) for name, wrap in WRAPS.items()}


@pytest.mark.parametrize("form", PASTES)
def test_every_form_of_the_answer_is_taken(form: str, judge: PendingAnswers) -> None:
    """The grant has the very code, and the verifier and redirect URI of its own among sign-ins."""
    grant = REQUEST.accept(PASTES[form])
    assert grant == (CODE, REQUEST.verifier, REQUEST.redirect_uri)
    assert judge.accept(PASTES[form]) == grant
    assert judge.found
    assert judge.found.awaits == REQUEST


@pytest.mark.parametrize("case", REJECTED)
def test_what_is_wrong_is_named(case: str, judge: PendingAnswers) -> None:
    """It has the word of the contract and one sentence, the same ones among other sign-ins."""
    text, error, phrase = REJECTED[case]
    with pytest.raises(RejectedAnswer) as alone:
        REQUEST.accept(text)
    assert (alone.value.error, alone.value.exit_code) == (error, 3)
    assert phrase in alone.value.message
    with pytest.raises(SignInRefused) as among:
        judge.accept(text)
    if error == "state_mismatch":
        assert among.value.error == "no_pending_login"
    else:
        assert (among.value.error, among.value.message) == (error, alone.value.message)


def test_answers_to_two_pending_sign_ins_are_refused(tmp_path: Path) -> None:
    """One that only stands beside the address to open of another is taken."""
    home, other = CodexHome(str(tmp_path)), AuthorizationRequest(CODEX)
    for request in (REQUEST, other):
        PendingAttempts.keep(home, Attempt(CODEX, request, time.time() + 900))
    with PendingAttempts.opened(home) as pending:
        judge = PendingAnswers(pending)
        assert judge.accept(f"{other.url}\n{URL}").code == CODE
        with pytest.raises(RejectedAnswer) as caught:
            judge.accept(f"{URL}\n\n{URL.replace(STATE, other.state)}")
        assert caught.value.error == "ambiguous_response"
        with pytest.raises(RejectedAnswer, match="is cut off"):
            judge.accept(URL[:-1])


@given(st.text(max_size=60))
@settings(max_examples=200)
def test_the_identifier_is_never_a_path(state: str) -> None:
    """Whatever a state says, it names a file of the pending folder."""
    assert len(identifier_of(state)) == 32
    assert set(identifier_of(state)) <= set("0123456789abcdef")


# What breaks an address up, so that nobody can tell where a code ends that stands last.
BREAKING = {*BREAKS, "curl broken by a terminal", "curl broken by a terminal, indented"}
BREAKING |= {"a mail, quoted", "a mail, quoted twice", "tmux", "tmux, blanks kept"}
BREAKING |= {
    "Slack's source",
    "Slack, shown",
    "screen, indented",
    "a TUI's box",
    "a TUI's box of ASCII",
}
BREAKING -= {"nothing", "zero-width spaces"}


@pytest.mark.parametrize("where", WRAPS)
def test_every_way_of_copying_is_taken(where: str) -> None:
    """An answer comes out of browsers, shells, chats, mails and terminals, wherever its code is."""
    wrap = WRAPS[where]
    for url in (URL.replace("127.0.0.1", "localhost"), URL.replace("-", "%2D")):
        assert REQUEST.accept(wrap(url)).code == CODE
    if where in BREAKING:
        with pytest.raises(RejectedAnswer, match="where its code ends"):
            REQUEST.accept(wrap(CODE_LAST))
    else:
        assert REQUEST.accept(wrap(CODE_LAST)).code == CODE


def test_only_the_port_of_this_sign_in_is_taken() -> None:
    """A sign-in that bound 1457 does not take an answer for 1455, which may be another's."""
    other = AuthorizationRequest(CODEX, "http://127.0.0.1:1457/auth/callback", state=STATE)
    assert other.accept(URL.replace("1455", "1457")).redirect_uri == other.redirect_uri
    with pytest.raises(RejectedAnswer, match="another port"):
        other.accept(URL)


DECODED = [("a%20b", "a b", 7), ("a+b", "a b", 8), ("a%2Bb", "a+b", 7), ("a%2525", "a%25", 6)]
DECODED += [("%7e%26%3D%23", "~&=#", 5), ("x", "x", 2048), ("x", "x", 20)]


@pytest.mark.parametrize(("sent", "code", "times"), DECODED)
def test_a_code_is_decoded_once(sent: str, code: str, times: int) -> None:
    """What the issuer encoded is what it gets back (RFC 6749 §4.1.2, form-urlencoded)."""
    assert REQUEST.accept(f"{BASE}code={sent * times}&state={STATE}").code == code * times


@pytest.mark.parametrize("letter", [*"-._~*!'()+,;:@/$"])
def test_a_code_keeps_its_last_letter(letter: str) -> None:
    """Marks at the end of a text are the sentence's, but never if the code stands there."""
    address = f"{BASE}state={STATE}&code={CODE}{letter.replace('+', '%2B')}"
    for text in (address, f"{address}\n", f'"{address}"', f"<{address}>", f"`{address}`"):
        assert REQUEST.accept(text).code == CODE + letter


@pytest.mark.parametrize("pasted", [CODE, f"{CODE}==", f"a+b{CODE}", f"a%2Bb{CODE}", f"0~{CODE}"])
def test_code_and_state_by_hand(pasted: str) -> None:
    """In `code#state` escapes are the address's, a plus is a plus, and nothing is cut off."""
    for text in (f"{pasted}#{STATE}", f"<{pasted}#{STATE}>", f"`{pasted}\n# {STATE}`"):
        assert REQUEST.accept(text).code == pasted.replace("%2B", "+")


DAMAGED = {
    "a backtick in a word": f"{CODE[:20]}`{CODE[20:]}&x=y",
    "a caret in a word": f"{CODE[:20]}^{CODE[20:]}",
    "a backslash in a word": f"{CODE[:20]}\\x{CODE[20:]}",
    "half an entity": f"{CODE}&quot;{CODE}",
    "a soft line break of a mail": f"{CODE[:20]}=\n{CODE[20:]}",
    "a lost &": f"{CODE}scope=openid",
    "half an escape": f"{CODE}%2",
    "no escape": f"{CODE}%zz",
    "an arrow of a broken line": f"{CODE[:20]}\n↪{CODE[20:]}",
    "an invisible entity": f"{CODE[:20]}&#8203;{CODE[20:]}",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_code_is_not_tried(damage: str) -> None:
    """A wrapping left in the code would cost the whole sign-in: another paste is asked for."""
    with pytest.raises(RejectedAnswer) as caught:
        REQUEST.accept(f"{BASE}state={STATE}&code={DAMAGED[damage]}")
    assert caught.value.error in {"not_a_redirect", "missing_code"}
    assert re.search("damaged|unclear", caught.value.message)


@pytest.mark.parametrize(("quote", "inside"), [('"', "'"), ("'", "'\\''")])
def test_shell_quotes_end_where_the_shell_ends_them(quote: str, inside: str) -> None:
    """A single quote inside double quotes is the code's, and one between quotes ends them."""
    text = f"curl {quote}{BASE}code={CODE}{inside}x&state={STATE}{quote}"
    assert REQUEST.accept(text).code == f"{CODE}'x"


CODES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=20, max_size=200)
CODE_AT_THE_END = "state={1}&scope=a+b&code={0}"
ORDERS = ["code={}&state={}&scope=a+b", CODE_AT_THE_END, "state={1}&code={0}&x=y"]
BASES = [BASE, BASE[7:], BASE.replace("127.0.0.1", "[::1]"), "/auth/callback?", "?", ""]
ORDER = st.sampled_from(ORDERS)


@given(CODES, ORDER, st.sampled_from(BASES), st.tuples(*map(st.sampled_from, map(list, LAYERS))))
@example("x" * 19 + ".", ORDERS[1], BASE, ("nothing", "bold", "nothing", "nothing", "nothing"))
@example("x" * 19 + "*", ORDERS[1], BASE, ("bold italics", *["nothing"] * 4))
@settings(max_examples=600)
def test_the_very_code(code: str, order: str, base: str, layers: tuple[str, ...]) -> None:
    """Every code that RFC 6749 allows comes through any hands, and the browser's, as it was sent.

    Only where closing quotes were torn off the end of a code, another paste is asked for.
    """
    query = order.format(form_encoded(code), STATE)
    assert REQUEST.accept_query(query).code == code
    text = base + query
    for wraps, name in zip(LAYERS, layers, strict=True):
        text = wraps[name](text)
    try:
        assert REQUEST.accept(text).code == code
    except RejectedAnswer:
        # A `+` at the beginning of a line is a patch's sign.
        assert order == CODE_AT_THE_END or " " in code
        assert layers[3] != "nothing" or layers[:2] != ("nothing", "nothing")


@given(CODES, ORDER, st.sampled_from(sorted(COMMANDS.keys() - BREAKING)))
@settings(max_examples=300)
def test_the_very_code_in_a_command(code: str, order: str, command: str) -> None:
    text = COMMANDS[command](BASE + order.format(form_encoded(code), STATE))
    assert REQUEST.accept(text).code == code


BARE_QUOTES: list[Wrap] = [
    str,
    lambda url: f"curl {shlex.quote(url)}",
    lambda url: "curl $'" + url.replace("'", "\\'") + "'",
    *(COMMANDS[name] for name in ("curl in double quotes", "Chromium, fetch", "Chromium, cmd")),
    around("[the page](", ")"),
    around("(", ")"),
    around("```", "```"),
]


@given(CODES, ORDER, st.sampled_from(BARE_QUOTES))
@example("x" * 20 + "'y", ORDERS[0], BARE_QUOTES[3])
@example("x" * 20 + "(y)", ORDERS[1], BARE_QUOTES[-2])
@example("x" * 20 + ")", ORDERS[1], BARE_QUOTES[-3])
@settings(max_examples=400)
def test_a_code_with_bare_quotes_is_exact_or_refused(code: str, order: str, wrap: Wrap) -> None:
    """An issuer that encodes as JavaScript does leaves quotes and brackets in the address."""
    try:
        taken = REQUEST.accept(wrap(BASE + order.format(component_encoded(code), STATE))).code
    except RejectedAnswer:
        assert {*"'()"} & {*code} or "***" in code or "..." in code  # as if masked or cut
    else:
        assert taken == code


# What can stand around or in a paste in any order, and what a terminal adds last.
ANYWHERE = """double quotes|single quotes|angle brackets|backticks|bold|&amp;|every 41|every 79
indented|zero-width spaces|no-break spaces, every 64|blanks around|a byte-order mark"""
WRAPPINGS = st.sampled_from([WRAPS[name] for name in ANYWHERE.replace("\n", "|").split("|")])
BARE = st.sampled_from([URL, URL.removeprefix("http://"), QUERY, f"?{QUERY}", f"{CODE}#{STATE}"])


@given(BARE, st.lists(WRAPPINGS, max_size=4), st.sampled_from([*TERMINALS.values()]))
@settings(max_examples=400)
def test_the_order_of_wrappings_does_not_matter(bare: str, wraps: list[Wrap], last: Wrap) -> None:
    """Whatever is put around an answer, in whatever order, the very code comes out."""
    text = bare
    for wrap in [*wraps, last]:
        text = wrap(text)
    # Two breaks make a paragraph, whatever is invisible between them.
    assume(not re.search(r"[\n\xa0][\s\u200b\ufeff]*[\n\xa0]", text.strip()))
    assert REQUEST.accept(text).code == CODE


@given(st.integers(0, len(CODE)), st.integers(1, 40))
@settings(max_examples=300)
def test_a_torn_code_is_what_was_left_of_it(start: int, count: int) -> None:
    """Where letters of the code are lost it is refused, or the rest is sent on as it stands."""
    left = CODE[:start] + CODE[start + count :]
    with suppress(RejectedAnswer):
        assert REQUEST.accept(URL.replace(CODE, left)).code == left


WHOLE = [*FORMS.values(), *(wrap(URL) for wrap in WRAPS.values())]
# Of half an escape another letter can be made: \u007e without its e, before a 9, is a y.
UNESCAPED = [text for text in WHOLE if "%" not in text and "\\u007e" not in text]


@given(st.sampled_from(UNESCAPED), st.integers(0, 400), st.integers(1, 30))
def test_a_torn_answer_is_refused_or_what_is_left_of_it(text: str, start: int, count: int) -> None:
    code = ""
    with suppress(SignInRefused):
        code = REQUEST.accept(text[:start] + text[start + count :]).code
    assert set(code) <= set(CODE) | set("scope=openid profile email&")


PIECES = [CODE, STATE, QUERY, URL, *"?&=#%:/.\\<>[]()'\" \n@;"]
PIECES += ["\udcff", "code=", "state=", "error=", "curl ", "http", "%zz", "&amp;"]
MIXED = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
CHANGED = st.builds(
    lambda text, at, put, cut: text[:at] + put + text[at + cut :],
    st.sampled_from([URL, QUERY, f"{CODE}#{STATE}", REQUEST.url]),
    st.integers(0, 300),
    st.text(max_size=8),
    st.integers(0, 8),
)


@given(MIXED)
@settings(max_examples=500)
def test_any_mixture_is_judged(text: str) -> None:
    """Whole answers, halves and bytes that are no UTF-8: taken for what they say, or refused."""
    with suppress(SignInRefused):
        code = REQUEST.accept(text).code
        seen = "".join(text.split())
        assert STATE in seen
        assert unquote_plus(code) in unquote_plus(seen) or CODE in code


@given(st.text(max_size=300) | MIXED | CHANGED)
@settings(max_examples=500)
def test_any_other_text_is_refused_in_words(text: str) -> None:
    """Nonsense, syntax without sense, and answers to another sign-in lead to nothing else."""
    assert all(map(str.isascii, Pasted(text).states))
    with pytest.raises(RejectedAnswer) as caught:
        REQUEST._replace(state="x" * 22).accept(text)
    assert caught.value.message
    assert caught.value.hint


STUMBLING = [
    *"<[('\"\\`^|&?#=%>: \n│\u0130\u200b",
    "](", "&amp;", "&#1", "\x1b[", "\x1b]", "\\\n", "\\ \t", "a ", "http", " http:/", "'\"",
    "curl ", "curl '", "code=", "a\n", "$'", "//", "%2", "localhost:", "\\u00", "](<",
]  # fmt: skip
STARTS = ["", "curl ", 'curl "', "http://", "https://auth.openai.com/error?payload=", "[a](", "<"]
QUOTED = ['"\\', "\\\"'", "'\"", '"\\ ', "$'\\", "](", '](<"', "<|", "&amp;", "amp;", " 'http"]
QUOTED += ["code=="]
QUOTED_STARTS = ["curl ", "curl '", "[a](", "00~", f"{BASE}state={STATE}&code="]


def _cost(text: str) -> float:
    """Return the processor time that the refusal of a text takes: no other program counts."""
    started = time.process_time()
    with pytest.raises(RejectedAnswer):
        REQUEST.accept(text)
    return time.process_time() - started


LONG = [*product(["", *STARTS[-3:]], STUMBLING, [""]), *product(QUOTED_STARTS, QUOTED, ["x"])]


@pytest.mark.parametrize(("start", "piece", "end"), LONG)
def test_no_text_takes_long(start: str, piece: str, end: str) -> None:
    """Every pattern is linear: 64 KiB cost 16 times what 4 KiB do, where a quadratic one costs 256.

    Nothing counts the steps of a pattern, so both are measured here and now, and compared: neither
    the machine's speed nor one disturbance changes what becomes of it.
    """
    short, long = (
        (start + piece * size).encode()[: size - len(end)].decode(errors="ignore") + end
        for size in (4096, 65536)
    )
    least = 1 / 64 if sys.platform == "win32" else 0.0005  # what the clock of a process can tell
    assert any(_cost(long) < 64 * max(_cost(short), least) for _ in range(5))
