"""However a paste is wrapped, the code that is sent on is the issuer's, letter for letter."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from urllib.parse import unquote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.text import printable
from tests.support.pastes import (
    CODE,
    COMMANDS,
    QUERY,
    REQUEST,
    STATE,
    SURROUNDINGS,
    URL,
    Wrap,
    around,
    broken,
    component_encoded,
    form_encoded,
    replaced,
)

BASE = f"{REQUEST.redirect_uri}?"
CODE_LAST = f"{BASE}scope=openid&state={STATE}&code={CODE}"
# A full stop behind the bracket: whether it is the code's, nobody can tell.
UNDECIDED = {"brackets and a full stop"}


@pytest.mark.parametrize("where", [*COMMANDS, *SURROUNDINGS])
def test_what_people_copy(where: str) -> None:
    """From browsers, shells, chats, mails and terminals, wherever the code stands."""
    wrap = (COMMANDS | SURROUNDINGS)[where]
    assert REQUEST.accept(wrap(URL)).code == CODE
    assert REQUEST.accept(wrap(URL.replace("127.0.0.1", "localhost"))).code == CODE
    assert REQUEST.accept(wrap(URL.replace("-", "%2D"))).code == CODE
    if where in UNDECIDED:
        with pytest.raises(RejectedAnswer):
            REQUEST.accept(wrap(CODE_LAST))
    else:
        assert REQUEST.accept(wrap(CODE_LAST)).code == CODE


@pytest.mark.parametrize("letter", [*"-._~*!'()+,;:@/$"])
def test_a_code_keeps_its_last_letter(letter: str) -> None:
    """Marks at the end are the sentence's, but never if the code stands there."""
    address = f"{BASE}state={STATE}&code={CODE}{letter.replace('+', '%2B')}"
    for text in (address, f"{address}\n", f'"{address}"', f"<{address}>", f"**{address}**"):
        assert REQUEST.accept(text).code == CODE + letter


@pytest.mark.parametrize(
    ("pasted", "code"),
    [
        (CODE, CODE),
        (CODE + "==", CODE + "=="),
        ("a+b" + CODE, "a+b" + CODE),
        ("a%2Bb" + CODE, "a+b" + CODE),
        ("0~" + CODE, "0~" + CODE),
    ],
)
def test_code_and_state_by_hand(pasted: str, code: str) -> None:
    """`code#state`: escapes are the address's, a plus is a plus, and nothing is cut off."""
    for text in (f"{pasted}#{STATE}", f"<{pasted}#{STATE}>", f"`{pasted}\n# {STATE}`"):
        assert REQUEST.accept(text).code == code


DAMAGED = {
    "a PowerShell escape": f"{CODE}`&x=y",
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
    """What a wrapping left in the code would cost the whole sign-in: asked for once more."""
    with pytest.raises(RejectedAnswer) as caught:
        REQUEST.accept(f"{BASE}state={STATE}&code={DAMAGED[damage]}")
    assert caught.value.error in {"not_a_redirect", "missing_code"}
    assert "damaged" in caught.value.message


def test_brackets_end_a_markdown_link() -> None:
    """A code with brackets in a Markdown link is refused, not cut off."""
    with pytest.raises(RejectedAnswer):
        REQUEST.accept(f"[the page]({BASE}state={STATE}&code={CODE}(x))")


def test_shell_quotes_end_where_the_shell_ends_them() -> None:
    """A single quote inside double quotes is the code's, and one between quotes ends them."""
    for text in (
        f'curl "{BASE}code={CODE}\'x&state={STATE}"',
        f"curl '{BASE}code={CODE}'\\''x&state={STATE}'",
    ):
        assert REQUEST.accept(text).code == f"{CODE}'x"


# One of each layer, as they come about: in a message, by a program, on a screen, in a terminal.
QUOTES: list[Wrap] = [
    str,
    *(around(mark, mark) for mark in ('"', "'", "**", "***")),
    around("“", "”"),
    around("<", ">"),
    around("(", ")"),
    around("```\n", "\n```"),
    around("' ", " '"),
]
ESCAPES: list[Wrap] = [
    str,
    replaced(("&", "&amp;")),
    replaced(("&", "&#38;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")),
    replaced(("?", "\\?"), ("&", "\\&"), ("=", "\\=")),
]
BREAKS: list[Wrap] = [
    str,
    *(broken(every, "\n") for every in (41, 79)),
    broken(67, "\r\n  "),
    broken(13, "\u200b"),
    broken(9, " "),
    broken(60, "\n> ", "> "),
    broken(60, " │\n│ ", "│ ", " │"),
]
TERMINALS: list[Wrap] = [
    str,
    around(" \t", "\n\n"),
    around("\ufeff"),
    around("\x1b[200~", "\x1b[201~"),
    around("[200~", "[201~\n"),
    around("\x1b[1;34m", "\x1b[0m"),
]
LAYERS = st.tuples(*map(st.sampled_from, (QUOTES, QUOTES, ESCAPES, BREAKS, TERMINALS)))
CODES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=20, max_size=120)
CODE_AT_THE_END = "state={1}&scope=a+b&code={0}"
ORDERS = ["code={}&state={}&scope=a+b", CODE_AT_THE_END, "state={1}&code={0}&x=y"]
BASES = [BASE, BASE[7:], BASE.replace("127.0.0.1", "[::1]"), "/auth/callback?", "?", ""]


@given(CODES, st.sampled_from(ORDERS), st.sampled_from(BASES), LAYERS)
@example("x" * 19 + ".", ORDERS[1], BASE, (str, QUOTES[2], str, str, str))
@example("x" * 19 + "*", ORDERS[1], BASE, (QUOTES[4], str, str, str, str))
@settings(max_examples=600, deadline=None)
def test_the_very_code(code: str, order: str, base: str, layers: tuple[Wrap, ...]) -> None:
    """Every code that RFC 6749 allows comes through any hands as it was sent.

    Only where closing quotes were torn off the end of a code, it is asked for once more.
    """
    text = base + order.format(form_encoded(code), STATE)
    for wrap in layers:
        text = wrap(text)
    try:
        assert REQUEST.accept(text).code == code
    except RejectedAnswer:
        quoted, broken_up = layers[:2] != (str, str), layers[3] is not str
        assert order == CODE_AT_THE_END
        assert quoted
        assert broken_up


@given(CODES, st.sampled_from(ORDERS), st.sampled_from([*COMMANDS]))
@settings(max_examples=300, deadline=None)
def test_the_very_code_in_a_command(code: str, order: str, command: str) -> None:
    """Also where shells have quoted it in their own ways."""
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


@given(CODES, st.sampled_from(ORDERS), st.sampled_from(BARE_QUOTES))
@example("x" * 20 + "'y", ORDERS[0], BARE_QUOTES[3])
@example("x" * 20 + "(y)", ORDERS[1], BARE_QUOTES[-2])
@example("x" * 20 + ")", ORDERS[1], BARE_QUOTES[-3])
@settings(max_examples=400, deadline=None)
def test_a_code_with_bare_quotes_is_exact_or_refused(code: str, order: str, wrap: Wrap) -> None:
    """An issuer that encodes as JavaScript does leaves quotes and brackets in the address."""
    try:
        taken = REQUEST.accept(wrap(BASE + order.format(component_encoded(code), STATE))).code
    except RejectedAnswer:
        assert {*"'()"} & {*code}
    else:
        assert taken == code


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_torn_code_is_what_was_left_of_it(data: st.DataObject) -> None:
    """Letters lost in the code: refused, or the rest as it stands; nothing is made of it."""
    start = data.draw(st.integers(0, len(CODE)))
    count = data.draw(st.integers(1, 40))
    pasted = URL.replace(CODE, CODE[:start] + CODE[start + count :])
    with suppress(RejectedAnswer):
        assert REQUEST.accept(pasted).code == CODE[:start] + CODE[start + count :]


QUADRATIC = [
    '"\\',
    "\\\"'",
    "'\"",
    '"\\ ',
    "$'\\",
    "](",
    '](<"',
    "<|",
    "&amp;",
    "amp;",
    " 'http",
    "code==",
]
STARTS = ["curl ", "curl '", "[a](", "00~", f"{BASE}state={STATE}&code="]


@pytest.mark.parametrize("piece", QUADRATIC)
def test_64_kib_take_no_time(piece: str) -> None:
    """Every pattern is linear: a quadratic one takes ten seconds here, these take hundredths."""
    for start in STARTS:
        for end in ("x", "\n01~"):
            text = (start + piece * 65536)[: 65536 - len(end)] + end
            started = time.process_time()
            with pytest.raises(RejectedAnswer):
                REQUEST.accept(text)
            assert time.process_time() - started < 2


def test_a_foreign_text_is_cleaned_before_it_is_cut() -> None:
    """No half token appears where a long text ends; and cleaning is linear."""
    for blank in (" ", "\x00", "\n"):
        assert "Q" not in printable("x" + blank * 1890 + "Q" * 90)
    started = time.process_time()
    printable(("Q" * 39 + " ") * 50_000)
    assert time.process_time() - started < 2


@given(
    st.lists(
        st.sampled_from(
            [
                CODE,
                STATE,
                QUERY,
                URL,
                *"?&=#%:/.\\<>[]()'\" \n@;",
                "\udcff",
                "code=",
                "state=",
                "error=",
                "curl ",
                "http",
                "%zz",
                "&amp;",
            ]
        ),
        max_size=12,
    ).map("".join)
)
@settings(max_examples=500, deadline=None)
def test_any_mixture_is_judged(text: str) -> None:
    """Whole answers, halves and bytes that are no UTF-8: taken for what they say, or refused."""
    try:
        code = REQUEST.accept(text).code
    except SignInRefused:
        return
    seen = "".join(text.split())
    assert STATE in seen
    assert unquote_plus(code) in unquote_plus(seen) or CODE in code
