"""Reads an ordinary command line by the table; whatever is unusual, Typer reads.

Typer takes longer to be imported than all that comes before the address. Nothing here refuses
anything: help, errors, completion and options before a subcommand are Typer's alone.
"""

from __future__ import annotations

from headless_login.cli.table import COMMANDS, OPTIONS

Call = tuple[str, dict[str, object]]  # the function, and its arguments


def read(words: list[str]) -> Call | None:
    """Return the call that a command line makes, or None if it is Typer that has to tell."""
    count = 2 if " ".join(words[:2]) in COMMANDS else 1
    name = " ".join(words[:count])
    if name not in COMMANDS:
        return None
    function, _, options, arguments = COMMANDS[name]
    found = _read_options(words[count:], defaults(options))
    if found is None:
        return None
    given, others = found
    for argument, kind, _, _ in arguments:
        if kind == "all" and others:
            given[argument], others = others, []
        elif kind != "all" and len(others) == 1:
            given[argument] = others.pop()
        elif kind == "maybe" and not others:
            given[argument] = None
        else:
            return None
    return None if others else (function, given)


def _read_options(
    words: list[str], given: dict[str, object]
) -> tuple[dict[str, object], list[str]] | None:
    """Return the options, and the other words; None if one of them is unusual."""
    flags = {flag: option for option in given for flag in OPTIONS[option][1]}
    left, others, found = iter(words), list[str](), set[str]()
    for word in left:
        if not word.startswith("-") or word == "-":
            others.append(word)
            continue
        flag, equals, text = word.partition("=")
        option = flags.get(flag, "")
        kind = OPTIONS[option][0] if option else ""
        if not option or (kind == "flag" and equals) or (option in found and kind != "texts"):
            return None
        text = text if equals or kind == "flag" else next(left, "-")
        value = None if text.startswith("-") else value_of(kind, text)
        if value is None:
            return None
        found.add(option)
        given[option] = (*given[option], value) if kind == "texts" else value  # type: ignore[misc]
    return given, others


def defaults(options: str) -> dict[str, object]:
    """Return the options of a command with their defaults."""
    found: dict[str, object] = {}
    for each in options.split():
        option, _, other = each.partition("=")
        found[option] = float(other) if other else OPTIONS[option][3]
    return found


def value_of(kind: str, text: str) -> object:
    """Return the value that a text is for an option, or None if that is unusual."""
    if kind == "flag":
        return True
    is_number = text.isascii() and text.replace(".", "", 1).isdigit()
    if kind == "integer":
        return int(text) if is_number and text.isdigit() and 0 < int(text) < 65536 else None
    if kind == "number":
        return float(text) if is_number else None
    return text
