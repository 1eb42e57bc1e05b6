"""The house stands as it was drawn: imports go down, never up and never sideways."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import headless_login

PACKAGE = Path(headless_login.__file__).parent

# Each room's floor, and the rooms it may not see because they are doors of the same floor.
FLOORS = {
    "errors": 0,
    "oauth": 1,
    "issuer": 2,
    "codex": 2,
    "terminal": 2,
    "flows": 3,
    "delivery": 3,
    "signin": 4,
    "practice": 3,  # an annex: it imports nothing of the house
    "commands": 5,
    "cli": 6,
    "__main__": 7,
}


def _imports(path: Path) -> set[str]:
    """Return the rooms of this package that a file imports, at its top or inside."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    rooms = {name.split(".")[1] for name in names if name.startswith("headless_login.")}
    return rooms & FLOORS.keys()


def _files() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    """A room sees itself and lower floors only."""
    room = _room(path)
    seen = _imports(path) - {room}
    assert not {other for other in seen if FLOORS[other] >= FLOORS[room]}


def test_the_annex_stands_alone() -> None:
    """The practice issuer shares no code with what it tests."""
    for path in (PACKAGE / "practice").glob("*.py"):
        assert _imports(path) <= {"practice"}


def test_every_room_has_a_floor() -> None:
    """A new room has to be given its place."""
    assert {_room(path) for path in _files()} == FLOORS.keys()


def test_types_are_shipped() -> None:
    """Type checkers of others read our hints (PEP 561)."""
    assert (PACKAGE / "py.typed").exists()


def test_public_names_exist_and_are_described() -> None:
    """Everything in `__all__` can be imported, and has a docstring if it is code."""
    for name in headless_login.__all__:
        value = getattr(headless_login, name)
        assert not callable(value) or value.__doc__, name
    with pytest.raises(AttributeError):
        headless_login.no_such_name  # noqa: B018
