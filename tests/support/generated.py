"""Texts by chance: answers in shapes upon shapes, poisons in company, noise; and their verdict."""

from __future__ import annotations

import random
import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from headless_login.errors import SignInRefused
from tests.support.pastes import CODE, REQUEST, URL
from tests.support.poisons import DAMAGED, FORBIDDEN, OTHER_CODE, SENTENCES
from tests.support.shapes import PLAIN
from tests.support.shapes_of_people import COMPANY
from tests.support.shapes_of_programs import query_of
from tests.support.wrappings import WIDTHS, WRAPPED

NOISE = [*"?&=#%:/.\\<>[]()'\" \n@;|│*_~^`", "code=", "state=", "http://", OTHER_CODE, "…", "%3D"]
FILLERS = [
    "",
    "\n",
    "\n\n",
    " ",
    " and ",
    "\nOn Monday Ada wrote:\n> ",
    "https://example.com/?a=b ",
]
ANSWERS = [
    URL,
    URL.replace("127.0.0.1", "localhost"),
    URL.replace("http:", "https:"),
    f"{URL}&iss=https%3A%2F%2Fauth.openai.com",
]


# What a break makes harmless: letters on the line behind a state, a shell's mark at a line's end.
BREAKABLE = [text for name, text in FORBIDDEN.items() if "grown" not in name]
HARMLESS = {
    "damaged": (re.compile(r"[\\^`] *(?:[│|][^\n]*)?(?:\r?\n|\xa0)"),),
}


class Case(NamedTuple):
    """A generated text; `kind` tells what may become of it, `codes` which codes may be sent on."""

    kind: str
    text: str
    codes: frozenset[str]


def generated(source: random.Random) -> Case:
    """Return the next text."""
    kind = source.choice(["good", "good", "forbidden", "forbidden", "damaged", "noise"])
    codes = {_letters(CODE)}
    if kind == "good":
        text = source.choice(ANSWERS)
        for names in [NAMES, DECORATIONS][: source.choice([0, 1, 1, 2])]:
            text = PLAIN[source.choice(names)](text)
        if source.random() < 0.3:
            text = source.choice(COMPANIES)(text)
        if source.random() < 0.7 and not {*"│┃|"} & {*text} and "http" in text:
            text = WRAPPED[source.choice([*WRAPPED])](text, source.choice(WIDTHS))
    elif kind == "noise":
        text = _noisy(source.choice(ANSWERS), source)
        told = dict(parse_qsl(query_of(text))).get("code", "")
        codes |= {_letters(code) for code in (told, *told.split()[:1])}
        squeezed = re.sub(r"[\s^\\`|]", "", text)
        starts = [found.end() for found in re.finditer("code=", squeezed)]
        ends = ("&", "[&;]")  # a ; ends a label's value, and is one more letter in an address
        codes |= {
            _letters(unquote(re.split(end, squeezed[at:])[0])) for at in starts for end in ends
        }
        text = _shaped(text, source)
    else:
        poison = source.choice(BREAKABLE if kind == "forbidden" else [*DAMAGED.values()])
        text = _poisoned(poison, kind, source)
    if any(pattern.search(text) for pattern in HARMLESS.get(kind, ())):
        return generated(source)
    return Case(kind, text, frozenset(codes))


def _letters(code: str) -> str:
    """Return what of a code no noise adds, and no undoing of an escape takes away."""
    return "".join(filter(str.isalnum, code))


def _shaped(text: str, source: random.Random) -> str:
    """Return a text as one way of copying leaves it; the forms of an answer come first alone."""
    if source.random() < 0.5:
        return PLAIN[source.choice(NAMES)](text)
    return WRAPPED[source.choice([*WRAPPED])](text, source.choice(WIDTHS))


NAMES = [name for name in PLAIN if not name.startswith(("form: ", "company: "))]
# What reads the values out of an address, so that what stands before it is gone, comes first: out
# of one that is broken up already it would read, and show as whole, a part of the code.
DECORATIONS = [name for name in NAMES if PLAIN[name](f"see {URL}") != PLAIN[name](URL)]
COMPANIES = [shape for shape in COMPANY.values() if shape(f"see {URL}") != shape(URL)]


def _poisoned(poison: str, kind: str, source: random.Random) -> str:
    """Return a poison in a sentence, wrapped, and perhaps beside something harmless."""
    text = source.choice([*SENTENCES.values()]).format(poison)
    if source.random() < 0.8:
        # A word between blanks cannot be told from an address that blanks break up.
        names = SAFE_WRAPPINGS if kind == "forbidden" else SAFE_WRAPPINGS[2:]
        text = WRAPPED[source.choice(names)](text, source.choice(WIDTHS))
    return f"{source.choice(FILLERS)}\n{text}\n{source.choice(FILLERS)}"


# What undoes itself; the others write or escape the address anew and can change what a poison is.
SAFE_WRAPPINGS = [
    "blanks", "zero-width spaces", "line feeds", "CR LF", "indented", "hanging", "no-break spaces",
    "quoted", "bars", "a box", "a box of ASCII", "a pane beside", "a pane before", "numbers",
    "backslashes",
]  # fmt: skip


def _noisy(text: str, source: random.Random) -> str:
    """Return a text with something cut out, put in or doubled."""
    for _ in range(source.choice([1, 1, 2, 3])):
        at = source.randrange(len(text) + 1)
        cut = source.choice([0, 0, 1, 2, 30])
        put = source.choice(["", source.choice(NOISE), source.choice(NOISE), text[at : at + 40]])
        text = text[:at] + put + text[at + cut :]
    return text


def verdict(case: Case) -> str:
    """Return what became of a text: taken, refused or wrong."""
    try:
        code = REQUEST.accept(case.text).code
    except SignInRefused:
        return "refused"
    if case.kind == "noise":  # what is left of a code is sent on as it stands; no other is
        return "taken" if _letters(code) in case.codes else "wrong"
    return "taken" if code == CODE and case.kind != "forbidden" else "wrong"
