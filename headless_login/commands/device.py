"""A one-time code on the screen, large and as a QR code of its page; and as one of several ways."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from headless_login.commands import words
from headless_login.commands.context import Context
from headless_login.commands.words import (
    CODE_ONLY_YOURSELF,
    OPEN_PAGE,
    SWITCHED_OFF,
    SWITCHED_OFF_HERE,
    TYPE_CODE,
    duration,
)
from headless_login.errors import HeadlessLoginError, IssuerTrouble
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.provider import Provider
from headless_login.terminal.output import CLEAR_SCREEN, Console
from headless_login.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from headless_login.flows.device import Poll
    from headless_login.issuer.client import IssuerClient
    from headless_login.oauth.values import AuthorizationPending, DeviceCode, Grant, Tokens


class OneTimeCode:
    """The one-time code of a sign-in: the way to win by it, and all that is said about it."""

    def __init__(
        self,
        context: Context,
        provider: Provider,
        screen: CodeScreen | None = None,
        *,
        begin: Callable[[IssuerClient, float], Attempt] | None = None,
        attempt: Attempt | None = None,
        first_pause: float | None = None,
        on_begun: Callable[[Attempt], None] = lambda _: None,
        on_ended: Callable[[HeadlessLoginError], None] = lambda _: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`begin` gets a code by a client, within so many seconds, where one can be asked for.

        `attempt` is one that was shown already. `first_pause` is in seconds; without it the first
        pause is an interval like any other. `on_begun` and `on_ended` hear of codes; `check` raises
        what has ended the present one here.
        """
        import asyncio  # not before a code is on the screen

        from headless_login.flows.device import DeviceCodeWay

        self._context, self._provider, self._begin = context, provider, begin
        self._screen, self._on_begun, self._on_ended = screen, on_begun, on_ended
        self._check = check
        self.error: HeadlessLoginError | None = None  # why the last one has ended
        self._has_screen = attempt is not None
        self._told: set[str] = set()
        self.way = DeviceCodeWay(
            self._ask,
            self._poll_for,
            on_begun=self._begun,
            on_trouble=self._tell_once,
            on_ended=self._ended,
            attempt=attempt,
            first_pause=first_pause,
            clock=context.clock,
            sleep=context.pause or asyncio.sleep,
        )
        self.stand_beside(lambda show: show(), lambda: False)

    def stand_beside(
        self, show_above: Callable[[Callable[[], None]], None], goes_on: Callable[[], bool]
    ) -> None:
        """Have things shown above what is live; `goes_on` tells whether another way is open."""
        self._above, self._goes_on = show_above, goes_on

    def keys(self) -> dict[str, Callable[[], None]]:
        """Return what one key does; where the code is all that was shown, `q` is its own."""
        return {"d": self._show_or_ask} | ({"q": self._toggle} if self._has_screen else {})

    def _show_or_ask(self) -> None:
        if self.way.attempt is not None:
            self._show(self.way.attempt)
            return
        self._context.say(words.ASKING_FOR_CODE)
        try:
            self._context.client(self._provider)  # one, whatever thread asks
        except IssuerTrouble as trouble:
            self._context.say(words.goes_on_without(trouble, can_ask=True))
        else:
            self.way.want()

    def _toggle(self) -> None:
        if self.way.attempt is not None and self._screen is not None:
            self._screen.toggle(self.way.attempt)

    def _show(self, attempt: Attempt) -> None:
        if self._screen is not None:
            self._screen.show(attempt)

    def _ask(self, timeout: float) -> Attempt:
        assert self._begin is not None  # noqa: S101  # nosec B101
        return self._begin(self._context.client(self._provider), timeout)

    def _poll_for(self, code: DeviceCode) -> Poll:
        client = self._context.client(self._provider)

        def poll(seconds: float) -> Grant | Tokens | AuthorizationPending:
            self._check()
            return client.poll_device_code(code, timeout=seconds)

        return poll

    def _begun(self, attempt: Attempt) -> None:
        self._on_begun(attempt)
        trouble = self._context.client(self._provider).clock_trouble

        def show() -> None:
            words.announce(self._context.output.events, attempt)
            self._context.say(*filter(None, [trouble]))
            self._show(attempt)

        self._above(show)

    def _tell_once(self, trouble: IssuerTrouble) -> None:
        if trouble.message not in self._told:
            self._told.add(trouble.message)
            self._above(lambda: self._context.say(f"{trouble.message} Asking again."))

    def _ended(self, error: HeadlessLoginError) -> None:
        self.error = error
        self._on_ended(error)
        if not self._goes_on():
            raise error
        told = words.goes_on_without(error, can_ask=self._begin is not None)
        self._above(lambda: self._context.say(told))


class CodeScreen:
    """How a one-time code is shown, again and again."""

    def __init__(
        self, console: Console, qr: str, *, has_keys: bool, beside: str = "", phone: str = ""
    ) -> None:
        """`beside` is what else has to stay on the screen; `has_keys`: a person can press some.

        `phone` is the address of the page for a phone, which is shown below the code.
        """
        self._console, self._qr, self._beside = console, qr, beside
        self._address = (words.PHONE_PAGE_ALONE, phone) if phone else ()
        self._advice = (CODE_ONLY_YOURSELF, SWITCHED_OFF_HERE if has_keys else SWITCHED_OFF)
        self._is_drawn = False

    def show(self, attempt: Attempt) -> None:
        """Show page and code, each alone on its line, and the QR code of the page; then advice."""
        beside = self._console.rows_of(self._beside)
        self._is_drawn = show_code(
            self._console,
            attempt,
            self._qr,
            advice=self._advice,
            address=self._address,
            beside=beside,
        )

    def toggle(self, attempt: Attempt) -> None:
        """Hide the QR code, or show it where it fits, or say why not."""
        if self._is_drawn:
            self._qr = "never"
            self._console.write(CLEAR_SCREEN)
            self.show(attempt)
            return
        self._qr = "auto"
        self.show(attempt)
        if not self._is_drawn:
            self._console.say(words.NO_QR_HERE if self._console.is_dumb else words.NO_ROOM_FOR_QR)


def show_code(
    console: Console,
    attempt: Attempt,
    qr: str,
    *,
    advice: Sequence[str] = (CODE_ONLY_YOURSELF, SWITCHED_OFF),
    address: Sequence[str] = (),
    run: str = "",
    command: str = "",
    beside: int = 0,
) -> bool:
    """Show page and code, each alone on its line, and the QR code of the page; then the advice.

    Below it stand a sentence and an `address`, and a sentence (`run`) and a `command`, both whole.
    `beside` are the rows that something else needs. Returns whether the QR code had room.
    """
    valid, user_code = duration(attempt.left(time.time())), attempt.user_code or ""
    above, between = console.wrapped(OPEN_PAGE), console.wrapped(TYPE_CODE.format(valid))
    head = "\n".join([*above, attempt.url, *between, user_code, ""])
    after = [line for text in advice for line in console.wrapped(text)]
    after += [*console.wrapped(address[0]), *address[1:]] if address else []
    after += [*console.wrapped(run), command] if command else []
    others = console.rows_of("\n".join([head, *after])) + 1 + beside
    drawn, has_qr = _drawn(console, attempt.url, user_code, qr, others)
    console.write("".join([head, *(f"{line}\n" for line in [*drawn, *after])]))
    return has_qr


def _drawn(
    console: Console, url: str, user_code: str, qr: str, other_rows: int
) -> tuple[list[str], bool]:
    """Return the QR code with the large letters beside it, or whatever fits; and whether it did."""
    if console.is_dumb:
        return [], False
    from headless_login.terminal.qr.capabilities import look_at
    from headless_login.terminal.qr.drawing import BESIDE, choose, forced
    from headless_login.terminal.qr.matrix import matrix_of

    look = look_at(console, colours_asked=qr == "always")._replace(protocol=None)
    letters = _letters(user_code) if look.blocks != "no" else []
    matrix = None if qr == "never" else matrix_of(url)
    rows = look.rows - other_rows
    drawing = None if matrix is None else choose(matrix, look, rows)
    if drawing is None and matrix is not None and qr == "always":
        drawing = forced(matrix, look)
    if drawing is None:
        fitting = (each for each in (large(user_code), letters) if _fits(each, look.columns, rows))
        return (next(fitting, []) if letters else []), False
    if drawing.columns + BESIDE + max(map(len, letters), default=0) > look.columns:
        return drawing.draw().splitlines(), True
    above = [""] * ((drawing.rows - len(letters)) // 2)
    return drawing.beside([*above, *letters]), True


def _fits(lines: list[str], columns: int, rows: int) -> bool:
    return len(lines) <= rows and max(map(len, lines), default=0) <= columns


def _letters(user_code: str) -> list[str]:
    """Return the code in large letters, its two halves one above the other."""
    first, hyphen, second = user_code.partition("-")
    lower = large(second) if second else []
    return [*large(first + hyphen), *([""] if lower else []), *lower]


# Five by five dots, a row a word; nothing is taken for another: a slash in the 0, serifs on the 1.
_GLYPHS = """
A .###. #...# ##### #...# #...#  B ####. #...# ####. #...# ####.  C .#### #.... #.... #.... .####
D ####. #...# #...# #...# ####.  E ##### #.... ####. #.... #####  F ##### #.... ####. #.... #....
G .#### #.... #..## #...# .####  H #...# #...# ##### #...# #...#  I .###. ..#.. ..#.. ..#.. .###.
J ..### ...#. ...#. #..#. .##..  K #...# #..#. ###.. #..#. #...#  L #.... #.... #.... #.... #####
M #...# ##.## #.#.# #...# #...#  N #...# ##..# #.#.# #..## #...#  O .###. #...# #...# #...# .###.
P ####. #...# ####. #.... #....  Q .###. #...# #.#.# #..#. .##.#  R ####. #...# ####. #..#. #...#
S .#### #.... .###. ....# ####.  T ##### ..#.. ..#.. ..#.. ..#..  U #...# #...# #...# #...# .###.
V #...# #...# #...# .#.#. ..#..  W #...# #...# #.#.# ##.## #...#  X #...# .#.#. ..#.. .#.#. #...#
Y #...# .#.#. ..#.. ..#.. ..#..  Z ##### ...#. ..#.. .#... #####  0 .###. #..## #.#.# ##..# .###.
1 ..#.. .##.. ..#.. ..#.. .###.  2 ####. ....# .###. #.... #####  3 ####. ....# .###. ....# ####.
4 #..#. #..#. ##### ...#. ...#.  5 ##### #.... ####. ....# ####.  6 .###. #.... ####. #...# .###.
7 ##### ....# ...#. ..#.. ..#..  8 .###. #...# .###. #...# .###.  9 .###. #...# .#### ....# .###.
- ..... ..... .###. ..... .....
"""
_BETWEEN = "  "


def large(text: str) -> list[str]:
    """Return three lines that draw a text in half blocks, or nothing if a letter is unknown."""
    words = _GLYPHS.split()
    glyphs = {words[at]: words[at + 1 : at + 6] for at in range(0, len(words), 6)}
    if not glyphs.keys() >= set(text.upper()):
        return []
    rows = [_BETWEEN.join(row) for row in zip(*map(glyphs.__getitem__, text.upper()), strict=True)]
    rows.append("." * len(rows[0]))
    return [_line(rows[upper], rows[upper + 1]) for upper in range(0, len(rows), 2)]


def _line(upper: str, lower: str) -> str:
    cells = (
        " ▀▄█"[(top == "#") + 2 * (bottom == "#")] for top, bottom in zip(upper, lower, strict=True)
    )
    return "".join(cells).rstrip()
