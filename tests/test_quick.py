"""The quick reader and Typer read the same: one table, one call, whatever the command line."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from textwrap import TextWrapper
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from headless_login.cli import program
from headless_login.cli.quick import defaults, read
from headless_login.cli.table import COMMANDS, OPTIONS
from headless_login.errors import HeadlessLoginError
from headless_login.oauth.request import urlencoded
from headless_login.terminal.output import Console

FLAGS = sorted({flag for row in OPTIONS.values() for flag in row[1]})
VALUES = ["x", "", "-", "0", "1455", "65535", "65536", "1.5", "900", "1e3", "1_0", "٣", "-1", "a b"]
VALUES += [
    "--json",
    "--",
    "auto",
    "ssh://host",
    "http://127.0.0.1:1455/?code=a&state=b",
    "=",
    "a=b",
]


def test_the_table_is_what_typer_declares() -> None:
    """Every command has the same options, flags and defaults, and its function takes them."""
    for name, (place, _, options, arguments) in COMMANDS.items():
        declared: Any = get_command(program._declared(name))
        found = {each.name: each for each in declared.params if each.name not in ("help", "above")}
        wanted = defaults(options)
        assert {*found} == {*wanted, *(row[0] for row in arguments)}, name
        for option, default in wanted.items():
            assert (*found[option].opts,) == OPTIONS[option][1], option
            assert (found[option].default or None) == (default or None), option
        assert {*inspect.signature(program.function_of(place)).parameters} == {*found}, name


def _by_typer(words: list[str]) -> tuple[str, dict[str, Any]] | None:
    """Return the call that Typer makes, or None if it makes none."""
    called: list[tuple[str, dict[str, Any]]] = []

    def recording(place: str) -> Callable[..., object]:
        return lambda **given: called.append((place, given))

    with pytest.MonkeyPatch.context() as patched:
        original = program.function_of
        patched.setattr(
            program, "function_of", lambda place: _as(original(place), recording(place))
        )
        try:
            program.run(words)
        except (HeadlessLoginError, SystemExit):
            return None
        except Exception as error:
            if not hasattr(error, "format_message"):  # the parser's own have it
                raise
            return None
    return called[0] if called else None


def _as(function: Callable[..., object], recorder: Callable[..., object]) -> Callable[..., object]:
    recorder.__module__, recorder.__doc__ = function.__module__, function.__doc__
    return recorder


_words = st.lists(
    st.one_of(
        st.sampled_from(FLAGS),
        st.sampled_from(VALUES),
        st.builds(
            lambda flag, value: f"{flag}={value}", st.sampled_from(FLAGS), st.sampled_from(VALUES)
        ),
    ),
    max_size=5,
)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Return command lines, most of which are ordinary, with options that the command has."""
    name = draw(st.sampled_from([*COMMANDS]))
    words = name.split()
    for option in draw(st.lists(st.sampled_from([*defaults(COMMANDS[name][2])]), max_size=4)):
        kind, flags = OPTIONS[option][:2]
        words.append(draw(st.sampled_from(flags)))
        if kind != "flag":
            value = draw(st.sampled_from(VALUES))
            words = (
                [*words[:-1], f"{words[-1]}={value}"] if draw(st.booleans()) else [*words, value]
            )
    more = st.lists(st.sampled_from(VALUES), max_size=2)
    words += draw(st.one_of(more, more, _words))
    at = draw(st.integers(0, len(words)))
    return draw(st.sampled_from([words, words, words, words[at:] + words[:at]]))


@settings(max_examples=2000)
@given(command_lines())
def test_both_roads_make_the_same_call(words: list[str]) -> None:
    """Where the quick reader makes a call, Typer makes the same one; else it is left to Typer."""
    quick = read(words)
    if quick is None:
        return
    typers = _by_typer(words)
    assert typers is not None, words
    place, arguments = quick
    tidy = {name: [*v] if isinstance(v, tuple) else v for name, v in typers[1].items()}
    ours = {name: [*v] if isinstance(v, tuple) else v for name, v in arguments.items()}
    assert (place, ours) == (typers[0], tidy)


_TEXT = st.text(st.characters(codec="utf-8"))


@given(st.dictionaries(_TEXT, _TEXT))
def test_the_address_is_encoded_as_by_the_library(parameters: dict[str, str]) -> None:
    """It is not loaded for that alone."""
    assert urlencoded(parameters) == urlencode(parameters, errors="strict")


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"])), st.integers(8, 120))
def test_short_lines_are_wrapped_as_by_the_library(text: str, width: int) -> None:
    """Nor is that, where nothing has to be wrapped."""

    class Terminal(Console):
        is_terminal = True
        size = (width, 24)

    wrap = TextWrapper(min(width, 100), break_long_words=False, break_on_hyphens=False).wrap
    shown = "".join(c if c.isprintable() else "?" for c in text)
    assert Terminal(io.StringIO(), {}).wrapped(text) == (wrap(shown) or [""])


ORDINARY = [
    "login", "login --paste-redirect", "login --json --codex-home /x", "login start --timeout=60",
    "login finish -", "login finish --no-wait", "status --json", "accounts use -", "token",
    "login --device-auth --expect ada@example.com", "push ssh://a ssh://b --access-only", "logout",
    "login --to ssh://a --to ssh://b", "accounts", "export --format base64", "demo", "doctor",
]  # fmt: skip
UNUSUAL = ["", "-h", "login --help", "login --json start", "lgoin", "login x", "login --port 0"]
UNUSUAL += ["login --port", "--version x", "logout --json=1", "login -- x", "status --jso"]


@pytest.mark.parametrize("line", ORDINARY)
def test_ordinary_lines_take_the_quick_road(line: str) -> None:
    assert read(line.split())


@pytest.mark.parametrize("line", UNUSUAL)
def test_unusual_lines_are_left_to_typer(line: str) -> None:
    assert read(line.split()) is None
