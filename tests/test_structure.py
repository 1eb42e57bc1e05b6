"""The package is built as it was drawn: imports go down, files and functions stay in bounds."""

from __future__ import annotations
import __future__

import ast
import pydoc
import sys
import typing
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

import headless_login
from headless_login import typed
from headless_login.codex.home import CodexHome
from tests.support.program import environment, run
from tests.support.stored_files import chatgpt, store

PACKAGE = Path(headless_login.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in FILES}

# A part sees itself and parts of lower floors; parts of one floor do not see each other.
FLOORS = (
    *("typed windows", "errors", "oauth", "issuer codex terminal", "flows delivery practice"),
    *("signin refresh", "commands", "cli", "__main__"),
)
FLOOR_OF = {part: floor for floor, parts in enumerate(FLOORS) for part in parts.split()}
INSIDE = [path for path in TREES if path != Path("__init__.py")]


def _part(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def _modules(path: Path) -> Iterator[str]:
    """Yield what a file imports, at its top or inside, by the full names."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import, which this test does not follow"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _parts(path: Path) -> set[str]:
    """Return the other parts of the package that a file imports."""
    ours = (name.split(".") for name in _modules(path) if name.startswith("headless_login."))
    return {name[1] for name in ours if name[1] in FLOOR_OF} - {_part(path)}


def test_imports_go_down() -> None:
    """A file imports of the package nothing but its own part and those of lower floors."""
    assert {_part(path) for path in INSIDE} == FLOOR_OF.keys()
    upward = [
        f"{path} imports {part}"
        for path in INSIDE
        for part in _parts(path)
        if FLOOR_OF[part] >= FLOOR_OF[_part(path)]
    ]
    assert not upward


def test_the_practice_issuer_stands_alone() -> None:
    """It shares no code with what it tests, and no command but `demo` needs it."""
    practice = {name for path in INSIDE if _part(path) == "practice" for name in _modules(path)}
    ours = {name for name in practice if name.partition(".")[0] == "headless_login"}
    assert not {name for name in ours if not name.startswith("headless_login.practice.")}
    importing = {path for path in TREES if "practice" in _parts(path)}
    assert importing == {Path("commands/demo.py")}


def test_only_the_command_line_knows_typer() -> None:
    """What the commands do can be called without it."""
    importing = {path for path in TREES if any(n.startswith("typer") for n in _modules(path))}
    assert {_part(path) for path in importing} == {"cli"}


def test_files_and_functions_stay_in_bounds() -> None:
    """At most 118 files, of which 15 have fewer than 50 lines; no function is longer than 45."""
    assert len(FILES) <= 118
    small = [path for path in FILES if len(path.read_text().splitlines()) < 50]
    assert len(small) <= 15, small
    long = [
        f"{path}: {node.name}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (node.end_lineno or 0) - node.lineno >= 45
    ]
    assert not long


def test_public_names_exist_and_are_described() -> None:
    """All of `__all__` can be imported and is shown, code has a docstring, and types (PEP 561)."""
    assert (PACKAGE / "py.typed").exists()
    shown = pydoc.plain(pydoc.render_doc(headless_login))
    for name in headless_login.__all__:
        value = getattr(headless_login, name)
        assert not callable(value) or value.__doc__, name
        assert name in shown
        assert name in dir(headless_login)
    with pytest.raises(AttributeError):
        headless_login.no_such_name  # noqa: B018


_VALUE = '''class Value(base):
    """A value."""

    name: str
    size: int = 3

    @property
    def twice(self) -> int:
        """Twice the size."""
        return 2 * self.size
'''


def test_a_value_is_what_typing_makes_of_it() -> None:
    """A named tuple: fields, defaults, representation, and what is made of it."""
    made = {}
    for base in (typed.NamedTuple, typing.NamedTuple):
        names = {"base": base, "__name__": __name__}
        exec(compile(_VALUE, "value", "exec", __future__.annotations.compiler_flag), names)  # noqa: S102
        kind: Any = names["Value"]
        value = kind("a")
        made[base] = (
            *(kind.__name__, kind.__module__, kind.__doc__, kind._fields, kind._field_defaults),
            *(repr(value), value._asdict(), value._replace(size=4).twice, value == kind(name="a")),
            *(value == ("a", 3), hash(value), list(signature(kind).parameters)),
            *(kind.__annotations__.keys(), hasattr(value, "__dict__")),
        )
        with pytest.raises(TypeError):
            kind()
        with pytest.raises(AttributeError):
            value.name = "b"
    assert made[typed.NamedTuple] == made[typing.NamedTuple]


# What is loaded when.

HEAVY = {
    *("asyncio", "authlib", "cryptography", "h11", "joserfc", "prompt_toolkit", "pydantic"),
    *("qrcode", "requests", "rich", "ssl", "urllib3"),
}
# Of the standard library and of Typer: each takes about as long as a bare start, or more.
SLOW = {
    *("click", "dataclasses", "inspect", "json", "re", "secrets", "shutil", "socket", "subprocess"),
    *("textwrap", "threading", "typer", "typing", "urllib"),
}
# Stops at the first write of an address, and tells what was loaded by then: modules, and which of
# our classes are dataclasses.
WATCH = """
import os, sys
from headless_login.terminal.output import AnswerConsole, Console

def write(self, text):
    if sys.argv[1] in text:
        print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
        ours = [module for name, module in sys.modules.items() if name.startswith("headless_login")]
        values = [value for module in ours for value in vars(module).values()]
        print(*{v.__name__ for v in values if hasattr(v, "__dataclass_fields__")})
        sys.stdout.flush()
        os._exit(0)

Console.write = AnswerConsole.write = write
from headless_login.cli import main
main(sys.argv[2:])
"""


def test_a_code_is_shown_without_what_verifies(environ: dict[str, str]) -> None:
    """The client asks for it, and nothing of what judges tokens is there yet."""
    command = (sys.executable, "-c", WATCH, "one-time code", "login")
    outcome = run("--device-auth", environ=environ, command=command)
    loaded = {*outcome.out.splitlines()[0].split()}
    assert "requests" in loaded, outcome.err
    assert not loaded & {"authlib", "cryptography", "joserfc", "prompt_toolkit", "qrcode"}


@pytest.mark.parametrize("options", ["--paste-redirect", "", "start"])
def test_nothing_heavy_before_the_address(options: str, codex_home: Path) -> None:
    """The person sees the address as soon as the command line itself is loaded."""
    command = (sys.executable, "-c", WATCH, "/oauth/authorize", "login")
    outcome = run(*options.split(), environ=environment(codex_home, None), command=command)
    assert outcome.out, outcome.err
    modules, dataclasses = outcome.out.splitlines()
    loaded = set(modules.split())
    assert "headless_login" in loaded
    assert dataclasses == "", "a frozen slotted one costs half a millisecond"
    assert not loaded & HEAVY
    assert not loaded & (SLOW - {"shutil", "json", "re", "socket"})
    assert options != "--paste-redirect" or not loaded & SLOW
    assert len(loaded) < 110


# Ends with what a whole command has loaded.
WHOLE = """
import os, sys
from headless_login.cli import main
main(sys.argv[1:])
print(*{name.partition(".")[0] for name in sys.modules})
"""


@pytest.mark.parametrize("line", ["login status", "accounts", "logout", "token", "export"])
def test_nothing_heavy_where_nobody_is_asked(line: str, home: CodexHome) -> None:
    """Without a network no client is loaded, and for an ordinary command line no parser."""
    store(home, chatgpt())
    command = (sys.executable, "-c", WHOLE)
    outcome = run(*line.split(), environ=environment(home.path, None), command=command)
    loaded = {*outcome.out.splitlines()[-1].split()}
    assert "headless_login" in loaded
    assert not loaded & (HEAVY | SLOW - {"json", "re"})
