"""Every shape that copying gives an answer has its right value, and no poison is ever taken."""

from __future__ import annotations

import random
import sys
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless_login.errors import RejectedAnswer, SignInRefused
from tests.support.generated import BREAKABLE, generated, verdict
from tests.support.pastes import BASE, CODE, REQUEST, STATE, URL
from tests.support.poisons import DAMAGED, FORBIDDEN, SENTENCES
from tests.support.shapes import PLAIN, UNWANTED
from tests.support.wrappings import WIDTHS, WRAPPED


def _taken(text: str) -> str | None:
    try:
        return REQUEST.accept(text).code
    except SignInRefused:
        return None


def test_there_are_many_shapes_and_most_are_taken() -> None:
    """At least 200 kinds; all that a person would want taken are."""
    assert len({*PLAIN, *WRAPPED} - UNWANTED) >= 200


@pytest.mark.parametrize("shape", PLAIN)
def test_every_shape_has_its_value(shape: str) -> None:
    """The very code, or for what nobody would want taken nothing."""
    assert _taken(PLAIN[shape](URL)) == (None if shape in UNWANTED else CODE)


@pytest.mark.parametrize("shape", WRAPPED)
def test_every_shape_is_taken_at_every_width(shape: str) -> None:
    assert {_taken(WRAPPED[shape](URL, width)) for width in WIDTHS} == {CODE}


@pytest.mark.parametrize("poison", FORBIDDEN)
def test_what_is_forbidden_is_refused_in_every_sentence(poison: str) -> None:
    """Other places, other states, two meanings: alone, in sentences, and wrapped at some widths."""
    for sentence in SENTENCES.values():
        text = sentence.format(FORBIDDEN[poison])
        assert _taken(text) is None
    if FORBIDDEN[poison] not in BREAKABLE:
        return  # what stands on the line behind a state does not make it grow
    for width in (*WIDTHS[::9], len(FORBIDDEN[poison]) - len(STATE) // 2):
        assert _taken(WRAPPED["hanging"](FORBIDDEN[poison], width)) is None


@pytest.mark.parametrize("poison", DAMAGED)
def test_a_damaged_code_is_never_sent(poison: str) -> None:
    for sentence in SENTENCES.values():
        assert _taken(sentence.format(DAMAGED[poison])) in (None, CODE)


LISTED = f"- [x] set URL={URL}"
BREAK, TILDE = LISTED.index("-_", 100), URL.index("~")
# Once wrongly accepted, as scripts/fuzz found.
FOUND = {
    "a foreign scheme on a line of its own": f"[the page](javascript:\n{URL[5:]})",
    "a label's value that goes on": f"  code: {CODE[:60]};{CODE[60:]}\n  state: {STATE}",
    "a list, of which all broken lines begin with -": (
        f"┃{LISTED[:BREAK]}┃\n┃{LISTED[BREAK:]}┃\n" * 2
    ),
    "half of code#state behind \\n": f"Code: {CODE[:48]}    \\n{CODE[48:]}#{STATE} ok",
    "=3D, broken up by <br>": f'<a href=3D"{URL}"'.replace("code=", "code=<br>\n3D").replace(
        "state=", "state=3D"
    ),
    "a value in quotes that goes on": f'code = "{CODE[:40]}"{CODE[40:]}"\nstate = "{STATE}"',
    "a value in quotes that goes on with a dot": (
        f'code = "{CODE[:40]}".{CODE[40:]}"\nscope = "openid"\nstate = "{STATE}"'
    ),
    "a label's value with a query in it": (
        f"code={CODE[:20]}/callback?c\node={CODE}&scope=a<&\nstate={STATE}"
    ),
    "a label's value that goes on to its padding": f"code: {CODE[:60]}\nA4_b==\nstate: {STATE}",
    "the state as a code": f"'state': '{STATE}tate=#{STATE}'",
    "borders that stand nowhere": (
        f"I ended at {URL[:60]}│{URL[60:110]}\n{URL[110:]}&│iss=x and nothing happened."
    ),
    "italics that a break ends": f"_{URL[: TILDE - 1]}\n{URL[TILDE - 1 :]}\n_",
    "a label behind ; that is none": f"code\t{CODE[:60]};cope=openid\nstate\t{STATE}",
    "a label's value with an entity": f"/auth/callback?(code={CODE}&amp;state={STATE}",
    "a line number alone": "".join(
        f"{line:6}  {text}\n"
        for line, text in enumerate([URL[:60], f"\xa0{URL[60:90]}", URL[90:]], 1)
    ),
    "panes, and lines of one of them": (
        f"{URL[:35]}│{URL[35:50]}\n{URL[50:90]}│{URL[91:99]}\n{URL[99:]}"
    ),
    "a soft break behind an encoded code": (
        f"{quote(URL[: URL.index('&')], '')}=\n{quote(URL[URL.index('&') :], '')}"
    ),
    "the signs of a patch behind cmd's marks": f"+ {URL[:70]}^\n+{URL[70:120]}^\n+{URL[120:]}",
    "a patch's sign behind an empty line": f"+{URL[:70]}\xa0{URL[70:128]}\xa0\n+{URL[128:]}",
    "a patch with a line of its own": (
        f"+'https://urldefense.com/v3/__{URL[:110]}\n+{URL[110:]}__;!!ABC!d$' \\\n+  -H"
    ),
    "panes that break up the scope": f"{URL[:90]}│{URL[90:98]}\n{URL[98:145]}│{URL[145:]}",
    "numbers that may be the code's": f"{BASE}?state={STATE}&code={CODE[:-1]}\n2\n3 and no more.",
    "a label's value in a pane": (
        f"$ make test │code: {CODE[:40]}\nok 17 passed│{CODE[40:]}\nok 18 passed│state: {STATE}"
    ),
    "a label behind an address in a pane": (
        f"$ make test│https://example.com/x?y=z code: {CODE[:40]}\nok 17 passed│{CODE[40:]}\n"
        f"ok 18 passed│scope: openid\nok 19 passed│state: {STATE}"
    ),
    "a list, encoded as a whole": quote(f"- {URL[: URL.index('-')]}", "")
    + "\n"
    + quote(URL[URL.index("-") :], ""),
    "a rule, encoded as a whole": quote(f"---- Ada:\n{URL[: URL.index('-')]}", "")
    + "\n"
    + quote(URL[URL.index("-") :], ""),
    "an escape, broken between panes": (
        f"ok │'{URL[:TILDE]}\\\nok │\nok │u007e{URL[TILDE + 1 :]}' \\\nok │ -H x"
    ),
    "half of code#state in panes out of line": (
        f"{CODE[:50]} │$ make\n{CODE[50:]}#{STATE}│$ make\nok│ok 17 passed"
    ),
    "a quote mark in a pane keeps it in line": (
        f"{URL[:65]}│$ make\n{URL[65:130]}│$ make\n{URL[130:]:65}│$ make\n> {'':63}│ok 17 passed"
    ),
    "panes by different borders": f"'{URL[:60]}│{URL[60:90]}\n{URL[90:]}' | login finish -",
}


@pytest.mark.parametrize("case", FOUND)
def test_what_was_wrongly_accepted_is_refused_or_right(case: str) -> None:
    is_right = case.startswith(
        ("a list", "a rule", "an escape", "a line number", "the signs", "a patch with", "a quote")
    )
    assert _taken(FOUND[case]) == (CODE if is_right else None)


@given(st.integers(0, 2**64))
@settings(max_examples=1500)
def test_nothing_generated_is_wrongly_accepted(seed: int) -> None:
    """What scripts/fuzz does for longer: shapes upon shapes, poisons in company, noise."""
    case = generated(random.Random(seed))  # noqa: S311  # texts of a test
    assert verdict(case) != "wrong"


def _steps(text: str) -> int:
    """Return how many lines of this program run to refuse or take a text."""
    count = 0

    def trace(*_: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        _taken(text)
    finally:
        sys.settrace(before)
    return count


GROWING = {
    "blanks": " ",
    "line feeds": "\n",
    "words": "word ",
    "lines": "some words\n",
    "foreign addresses": f"http://evil.example/x?state={STATE[::-1]}\n",
    "addresses to open": f"{REQUEST.url}\n",
    "our place": BASE,
    "our place in lines": f"{BASE}\n",
    "our state": f"state={STATE}\n",
    "our state, glued": f"state={STATE}",
    "answers": f"{URL}\n",
    "answers, glued": URL,
    "other answers": URL.replace(STATE, STATE[::-1]) + "\n",
    "code#state": f"{CODE}#{STATE}\n",
    "escapes": "%3D",
    "escapes twice": "%253D",
    "entities": "&amp;",
    "backslashes": "\\",
    "borders": "│",
    "boxes": "│ a │\n",
    "numbers": "1 a\n",
    "tags": "<b>",
    "labels": "code: x\n",
    "quotes": "\"'",
    "brackets": "[](",
    "parameters": "&a=b",
    "parameters in lines": "&a=b\n",
    "links": "https://urldefense.com/v3/__",
    "soft line breaks": "=3D=\n",
    "carets": "^",
    "full-width": "？＆＝",
    "invisible": "\u200b",
}


@pytest.mark.parametrize("kind", GROWING)
def test_the_cost_grows_as_the_text_does(kind: str) -> None:
    """64 KiB of any kind run at most 20 times the lines of 4 KiB of it, in front of an answer.

    Patterns that backtrack run in C; `test_no_text_takes_long` measures them.
    """
    short, long = (
        _steps((GROWING[kind] * size).encode()[: size - 400].decode(errors="ignore") + f"\n{URL}")
        for size in (4096, 65536)
    )
    assert long <= 20 * short


@pytest.mark.parametrize("text", [URL + "x", f"{CODE}#{STATE}x"])
def test_a_grown_state_is_refused_and_may_be_copied_again(text: str) -> None:
    with pytest.raises(RejectedAnswer) as caught:
        REQUEST.accept(text)
    assert caught.value.error == "missing_state"
    assert "Copy the whole address" in caught.value.hint
