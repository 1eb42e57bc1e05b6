"""Keys: in every mode that another program may have left behind, and those that do something."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from base64 import b64decode, b64encode
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headless_login.practice.person import approve
from headless_login.terminal.keys import PlainKeys
from tests.support.listening import free_port
from tests.support.program import COMMAND, PROMPT, Terminal, Variables
from tests.support.two_calls import TwoCalls

PASTE = ("login", "--paste-redirect")
MARKED = "\x1b[200~a\x1b[201~"
PLAIN = {
    # kitty: CSI code : shifted : base ; modifiers : event ; text u
    "\x1b[13u": "\r",
    "\x1b[13;1:1u": "\r",
    "\x1b[13;1:3u": "",
    "\x1b[13;1:2u": "\r",
    "\x1b[99;5u": "\x03",
    "\x1b[99;5:1u": "\x03",
    "\x1b[99;5:3u": "",
    "\x1b[100;5u": "\x04",
    "\x1b[117;5u": "\x15",
    "\x1b[127u": "\x7f",
    "\x1b[127;3u": "\x7f",
    "\x1b[57414u": "\r",
    "\x1b[97u": "a",
    "\x1b[97;2u": "A",
    "\x1b[97:65;2u": "A",
    "\x1b[97;65u": "A",
    "\x1b[47;2u": "?",
    "\x1b[63;2u": "?",
    "\x1b[47:63;2:1;63u": "?",
    "\x1b[55:47;2u": "/",
    "\x1b[97;;97u": "a",
    "\x1b[97;1:1;97:98u": "ab",
    "\x1b[1089::99;5u": "\x03",
    "\x1b[99;6u": "",
    "\x1b[99;9u": "",
    "\x1b[99;3u": "",
    "\x1b[57441;2u": "",
    "\x1b[27u": "",
    # xterm's modifyOtherKeys
    "\x1b[27;5;99~": "\x03",
    "\x1b[27;2;13~": "\r",
    "\x1b[27;2;65~": "A",
    "\x1b[27;2;47~": "/",
    # win32-input-mode: pressed, and released
    "\x1b[13;28;13;1;0;1_": "\r",
    "\x1b[67;46;3;1;8;1_": "\x03",
    "\x1b[67;46;3;0;8;1_": "",
    # A keypad, focus, mice, arrows with events, replies to others, Escape, and what is none of it.
    "\x1bOM": "\r",
    "\x1b[I": "",
    "\x1b[<0;1;2M": "",
    "\x1b[M !!x": "x",
    "\x1b[1;1:1A": "",
    "\x1b]11;rgb:0/0/0\ax": "x",
    "\x1bP1$r\x1b\\x": "x",
    "\x1b[?1u": "",
    "\x1bx": "x",
    "\x1b\x03": "\x03",
    "\x1b]\x03": "]\x03",
    "\x1b[\x03": "[\x03",
    MARKED: MARKED,
    f"\x1b[{'9' * 5000}u": "",
    "\x1b[55296u": "",
    "\x1b[u": "",
    "\x1b[27;;~": "",
    "\x1b[;;_": "",
}


@pytest.mark.parametrize("sent", PLAIN, ids=repr)
def test_what_a_terminal_sends_for_a_key(sent: str) -> None:
    """Whole, and in as many pieces as there are bytes."""
    assert PlainKeys().of(sent) == PLAIN[sent]
    keys = PlainKeys()
    assert "".join(map(keys.of, sent)) == PLAIN[sent]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from([*PLAIN])))
def test_nothing_else_is_touched(pieces: list[str]) -> None:
    """Ctrl-C always arrives, whatever came before it; and text without Escape is left alone."""
    keys = PlainKeys()
    for piece in pieces:
        plain = keys.of(piece)
        assert "\x1b" in "".join(pieces) or plain == piece
    assert "\x03" in keys.of("\x03\x03\x03\x03")


KITTY = {"\r": "\x1b[13u", "\x03": "\x1b[99;5u", "\x04": "\x1b[100;5u", "\x7f": "\x1b[127u"}
XTERM = {"\r": "\x1b[27;1;13~", "\x03": "\x1b[27;5;99~", "\x04": "\x1b[27;5;100~"}
MODES = {
    "kitty": KITTY | {"\x15": "\x1b[117;5u"},
    "kitty, with events": {
        key: each[:-1] + (":1u" if ";" in each else ";1:1u") + each[:-1] + ";1:3u"
        for key, each in (KITTY | {"\x15": "\x1b[117;5u"}).items()
    },
    "xterm": XTERM | {"\x7f": "\x1b[27;5;127~", "\x15": "\x1b[27;5;117~"},
    "plain": {},
}


def _typed(mode: str, text: str) -> str:
    """Return what a terminal in that mode sends for each key of a text."""
    other = (lambda key: f"\x1b[{ord(key)}u") if mode.startswith("kitty") else str
    return "".join(MODES[mode].get(key, other(key)) for key in text)


@pytest.mark.parametrize("mode", MODES)
def test_a_person_can_answer_and_correct(mode: str, calls: TwoCalls) -> None:
    """Enter, Backspace and Ctrl-U do what they should, and every letter arrives."""
    with calls.terminal(*PASTE) as terminal:
        answer = approve(terminal.read_question())
        for typed, shown in (("nonsense", "8 characters"), ("\x7f", "7 characters")):
            terminal.send(_typed(mode, typed))
            terminal.read_screen_until(rf"\({shown}\)")
        terminal.send(_typed(mode, "\x15z"))
        terminal.read_screen_until(r"\(1 character\)")
        terminal.send(_typed(mode, f"\x15{answer}\r"))
        assert terminal.wait() == 0
        assert terminal.attributes == terminal.attributes_before


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", ["--paste-redirect", "after Ctrl-D", "--device-auth"])
def test_a_person_can_leave(way: str, mode: str, calls: TwoCalls) -> None:
    """Ctrl-C ends the question, the wait for the browser, and the one for a code."""
    words = (way,) if way.startswith("--") else ("--port", str(free_port()))
    with calls.terminal("login", *words) as terminal:
        if way != "--device-auth":
            terminal.read_question()
        if way == "after Ctrl-D":
            terminal.send(_typed(mode, "\x04"))
        if way != "--paste-redirect":
            terminal.read_until("Waiting for ")
        terminal.send(_typed(mode, "\x03"))
        assert terminal.wait() == 130
        assert "Interrupted." in terminal.text
        assert terminal.attributes == terminal.attributes_before
    assert not calls.records


# One key does one thing while nothing is typed.

ONE_KEY = {
    "?": "c copies the address",
    "q": "(QR code: needs 80x45.*){2}",
    "a": r"(/oauth/authorize\?.*){2}",
    "c": "was sent to your clipboard",
}


@pytest.mark.parametrize("mode", ["plain", "kitty", "with Enter", "TERM=dumb"])
def test_one_key_does_one_thing(mode: str, calls: TwoCalls) -> None:
    """In any mode, in a shell of Emacs too, where every line ends with Enter; nothing stays."""
    if mode == "TERM=dumb":
        calls.environ["TERM"] = "dumb"
    dumb = {"c": "cannot copy", "q": "(No QR code.*){2}"}
    expected = ONE_KEY | (dumb if mode == "TERM=dumb" else {})
    with calls.terminal(*PASTE) as terminal:
        answer = approve(terminal.read_question())
        for key, told in expected.items():
            sent = f"{key}\r" if mode in ("with Enter", "TERM=dumb") else key
            terminal.send(f"\x1b[{ord(key)}u" if mode == "kitty" else sent)
            terminal.read_until(f"(?s){told}.*{PROMPT}")
        assert ("\x1b" in terminal.text) is (mode != "TERM=dumb")
        terminal.send(f"{answer}\r")
        assert terminal.wait() == 0


@pytest.mark.parametrize("before", ["code", "?", "a"])
@pytest.mark.parametrize("marked", [True, False])
def test_an_answer_may_begin_with_the_same_letter(
    before: str, marked: bool, calls: TwoCalls
) -> None:
    """Only the query, or a word before the address: what more follows is no key."""
    with calls.terminal(*PASTE) as terminal:
        answer = approve(terminal.read_question())
        query = answer.partition("?")[2]
        assert query.startswith("code=")
        text = {"code": query, "?": f"?{query}", "a": f"a link: {answer}"}[before]
        terminal.paste(text, marked=marked)
        terminal.send("\r")
        assert terminal.wait() == 0
        assert "clipboard" not in terminal.text


def test_a_letter_of_something_typed_is_no_key(calls: TwoCalls) -> None:
    """Once anything is typed, letters are letters."""
    with calls.terminal(*PASTE) as terminal:
        terminal.read_question()
        terminal.send("xc")
        terminal.read_screen_until(r"\(2 characters\)")
        terminal.send("q")
        terminal.read_screen_until(r"\(3 characters\)")
        assert "clipboard" not in terminal.text


def _is_drawn(terminal: Terminal, blocks: bool) -> bool:
    return blocks is ("▀" in "".join(terminal.lines))


def test_q_shows_the_code_and_hides_it(environ: Variables) -> None:
    """Left out by `--qr never`, it is shown when asked for; then address and words stay."""
    with Terminal(*PASTE, "--qr", "never", environ=environ, columns=100, rows=55) as terminal:
        url = terminal.read_question()
        for blocks in (True, False, True):
            terminal.send("q")
            terminal.until(partial(_is_drawn, terminal, blocks), "change")
            terminal.read_screen_until(PROMPT)
            assert url in "".join(terminal.lines)


# Where the clipboard is: outside of what stands between.
OSC_52 = rb"\x1b\]52;c?;([A-Za-z0-9+/=]+)(?:\a|\x1b\\)"
BETWEEN = {
    "nothing": "",
    "tmux": "tmux -L keys -f {null} new-session",
    "tmux, where sequences may pass": "tmux -L keys -f {passing} new-session",
    "screen": "screen -U -T screen-256color -S keys -c {null} sh -c",
}


@pytest.mark.parametrize("between", BETWEEN)
def test_c_copies_the_address(between: str, environ: Variables, tmp_path: Path) -> None:
    """The terminal outside is asked to copy the very address, in one piece."""
    wrapper = BETWEEN[between].split()[:1]
    if wrapper and shutil.which(wrapper[0]) is None:
        pytest.skip(f"{wrapper[0]} is not installed")
    tmp_path.chmod(0o700)
    (tmp_path / "passing").write_text("set -g allow-passthrough on\nset -g set-clipboard off\n")
    environ |= {"SCREENDIR": str(tmp_path), "TMUX_TMPDIR": str(tmp_path)}
    start = BETWEEN[between].format(null=os.devnull, passing=tmp_path / "passing").split()
    script = f"{COMMAND} {' '.join(PASTE)}; cat"
    if "pass" in between:  # a tmux that knows no `-w`
        (tmp_path / "tmux").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "tmux").chmod(0o700)
        script = f"PATH={tmp_path}:$PATH {script}"
    command = [*start, script] if start else ["sh", "-c", script]
    with Terminal(environ=environ, command=command, columns=100, rows=40) as terminal:
        try:
            terminal.read_screen_until(PROMPT)
            shown = "".join(terminal.lines)
            terminal.send("c")
            terminal.until(lambda: re.search(OSC_52, terminal.output), "copy")
            found = re.search(OSC_52, terminal.output)
            assert found
            url = b64decode(found[1]).decode()
            assert url in shown
            assert b64encode(url.encode()) == found[1]
            terminal.read_screen_until("sent to your clipboard")
        finally:
            if start:
                end = ["-X", "quit"] if wrapper == ["screen"] else ["kill-server"]
                name = ["-S" if wrapper == ["screen"] else "-L", "keys"]
                subprocess.run([*wrapper, *name, *end], env=environ, capture_output=True)
