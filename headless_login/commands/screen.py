"""What a sign-in puts on the screen: the address first, the code below it, the question last."""

from __future__ import annotations

import os
from collections.abc import Callable

from headless_login.codex.replace import replace_file
from headless_login.commands import words
from headless_login.commands.command_line import tunnel_advice
from headless_login.commands.context import Context, Options
from headless_login.commands.words import announce, announce_page
from headless_login.errors import LocalTrouble, WrongUsage
from headless_login.oauth.attempt import Attempt
from headless_login.terminal.input import can_be_asked
from headless_login.terminal.output import CLEAR_SCREEN, Console
from headless_login.terminal.place import Place, detect_place, takes_no_paste
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from headless_login.commands.device import CodeScreen
    from headless_login.terminal.qr.drawing import Drawing, Look
    from headless_login.terminal.qr.matrix import Matrix

_QUESTION = 1  # row
_SMALL_COLUMNS, _SMALL_ROWS = 60, 21  # below either, less is said


def show(
    attempt: Attempt,
    port: int | None,
    options: Options,
    context: Context,
    finish: str = "",
    phone: str = "",
) -> Screen:
    """Show the address, open a browser where one is here, and say what comes next.

    `port` is the one that is listened on, if any; `finish` the command that takes an answer where
    nothing can be pasted here; `phone` the address of the page for a phone, whose QR code is shown
    then. Returns the screen, whose QR code may be drawn again.

    Raises:
        LocalTrouble: the picture file cannot be written.
    """
    announce(context.output.events, attempt)
    announce_page(context.output.events, attempt, phone)
    picture = write_qr_file(phone or attempt.url, options.qr_file) if options.qr_file else ""
    can_paste = context.person is not None or can_be_asked()
    place = detect_place(context.environ)
    console = context.output.console
    scene = Scene(place, port, options.bind, options.qr, can_paste, command=finish, phone=phone)
    no_paste = console.is_terminal and takes_no_paste(context.environ)
    scene = scene._replace(is_confirmed=not options.expect, no_paste=no_paste)
    screen = Screen(console, attempt.url, scene)
    screen.show_address()
    if picture:
        context.say(f"The QR code is in {picture}")
    opened = False
    if options.browser and port is not None:
        from headless_login.terminal.browser import open_browser

        opened = open_browser(attempt.url, context.environ, scene.place)
    screen.show_way(opened=opened)
    return screen


def show_only_code(
    code: Attempt, address: Attempt | None, options: Options, context: Context, phone: str
) -> tuple[Screen | None, CodeScreen]:
    """Show a one-time code, and the page `phone`; an address only once a key asks for it.

    Raises:
        LocalTrouble: the picture file cannot be written.
    """
    from headless_login.commands.device import CodeScreen

    more = {} if address is None else {"address": words.fields_of(address)}
    announce(context.output.events, code, **more)
    announce_page(context.output.events, address or code, phone)
    picture = write_qr_file(code.url, options.qr_file) if options.qr_file else ""
    console = context.output.console
    has_keys = address is not None and can_be_asked()
    shown = CodeScreen(console, options.qr, has_keys=has_keys, phone=phone)
    shown.show(code)
    if picture:
        context.say(f"The QR code is in {picture}")
    if address is None:
        return None, shown
    scene = Scene(detect_place(context.environ), qr="never", phone=phone)
    return Screen(console, address.url, scene._replace(is_confirmed=not options.expect)), shown


class Scene(NamedTuple):
    """What the words depend on; without a port, nothing but a paste can end the sign-in.

    `words` stand in place of all that `login` says around the address; `command` below, whole.
    `phone` is the page's address for a phone: the code is its, and the words tell of it; and, if
    `is_confirmed`, of the question at its end. `no_paste`: the terminal has no clipboard.
    """

    place: Place
    port: int | None = None
    bind: str | None = None
    qr: str = "auto"
    can_paste: bool = True
    words: tuple[str, ...] = ()
    command: str = ""
    phone: str = ""
    is_confirmed: bool = True
    no_paste: bool = False


class _Layout(NamedTuple):
    """A code, and where the words are: around it if they fit, in these lines beside it, or before.

    `above` is the line above the code.
    """

    drawing: Drawing
    fits: bool = False
    beside: tuple[str, ...] = ()
    above: str = ""


class Screen:
    """The screen of one sign-in, which may be drawn again when the terminal gets another size."""

    def __init__(self, console: Console, url: str, scene: Scene) -> None:
        """`url` is the address that is shown."""
        self._console = console
        self._url = url
        self._scene = scene
        self._scanned = scene.phone or url
        self._opened = False
        self._matrix: Matrix | None = None
        self._drawn = False
        self.is_shown = self.is_offered = False

    def show_address(self) -> None:
        """Write the address alone, in one unbroken run, whatever the width."""
        scene, self.is_shown, self.is_offered = self._scene, True, True
        if scene.port is not None and is_wide(scene.bind):
            self._console.say(words.wide(str(scene.bind), scene.port))
        self._console.write(self._address())

    def show_way(self, *, opened: bool) -> None:
        """Show the code for a phone, and say what comes next; `opened` tells of a browser here."""
        self._opened = opened
        if opened and self._scene.qr == "auto" and not self._scene.phone:
            self._console.write(f"\n{self._after(drawn=False)}\n")
        elif reason := self._draw():
            told = not (self._scene.qr == "never" or self._is_small)
            told = told and not (self._scene.words and self._console.is_dumb)
            self._console.say(*(["", f"({reason})"] if told else []))
            self._console.write(f"\n{self._after(drawn=False)}\n")

    def resized(self) -> Callable[[], None] | None:
        """Return what shows the code after all if it fits now; None if there is nothing to do."""
        if self._drawn or self._matrix is None or self._scene.qr == "never":
            return None
        chosen = self._choose(self._matrix, self._look())
        if chosen is None:
            return None
        return lambda: self._write(chosen, again=True)

    def keys(self) -> dict[str, Callable[[], None]]:
        """Return what one key does while nothing is typed."""
        return {
            "c": self._copy,
            "a": self._show_again,
            "q": lambda: self._hide() if self._drawn else self._show_code(),
            "?": lambda: self._console.say(words.KEYS),
        }

    def _show_again(self) -> None:
        if self.is_shown:
            addresses = filter(None, [self._url, self._scene.phone])
            self._console.write("".join(f"{each}\n" for each in addresses))
        else:
            self.show_address()
            self.show_way(opened=False)

    def _copy(self) -> None:
        self.is_offered = True
        from headless_login.terminal.clipboard import copy

        copied = copy(self._console, self._url)
        self._console.say(words.COPIED if copied else words.CANNOT_COPY)

    def _hide(self) -> None:
        """Show everything but the code, on a screen that was cleared."""
        self._drawn, self._scene = False, self._scene._replace(qr="never")
        self._console.write(f"{CLEAR_SCREEN}{self._address()}\n{self._after(drawn=False)}\n")

    def _show_code(self) -> None:
        """Show the code, without the address if both do not fit, or say why not."""
        from headless_login.terminal.qr.drawing import choose, least
        from headless_login.terminal.qr.matrix import matrix_of

        if self._scene.qr == "never":
            self._scene = self._scene._replace(qr="auto")
        matrix = None if self._console.is_dumb else matrix_of(self._scanned)
        if matrix is None:
            no_code = words.NO_QR_HERE if self._console.is_dumb else words.NO_QR_FOR_THIS
            self._console.say(no_code)
            return
        self._matrix, look = matrix, self._look()
        if chosen := self._choose(matrix, look):
            self._write(chosen, again=True)
        elif alone := choose(matrix, look, look.rows - _QUESTION):
            self._drawn = True
            self._console.write(alone.draw())
        else:
            self._console.say(self._too_small(least(matrix, look), look))

    def _draw(self) -> str:
        """Draw the code, or return why there is none; what draws it is not loaded before."""
        if self._scene.qr == "never":
            return "none is wanted"
        if self._console.is_dumb:
            return words.NO_QR_HERE
        from headless_login.terminal.qr.drawing import least
        from headless_login.terminal.qr.matrix import matrix_of

        self._matrix = matrix_of(self._scanned)
        if self._matrix is None:
            return words.NO_QR_FOR_THIS
        look = self._look()
        chosen = self._choose(self._matrix, look)
        if chosen is None:
            return self._too_small(least(self._matrix, look), look)
        self._write(chosen)
        return ""

    def _choose(self, matrix: Matrix, look: Look) -> _Layout | None:
        """Return a drawing that fits on the screen with address and question, if there is one."""
        from headless_login.terminal.qr.drawing import choose, forced, forced_picture

        address_and_question = self._console.rows_of(self._url) + _QUESTION
        bare = look.rows - address_and_question
        roomy = look.rows - self._console.rows_of(self._address() + self._after()) - _QUESTION
        if self._scene.qr == "graphics":
            picture = forced_picture(matrix, look, bare)
            return None if picture is None else _Layout(picture, picture.rows <= roomy)
        if drawing := choose(matrix, look, roomy, smallest=False):
            return _Layout(drawing, fits=True)
        if self._scene.phone and (beside := self._beside(matrix, look, bare)):
            return beside
        if drawing := choose(matrix, look, bare):
            return _Layout(drawing, fits=drawing.rows <= roomy)
        return _Layout(forced(matrix, look)) if self._scene.qr == "always" else None

    def _beside(self, matrix: Matrix, look: Look, rows: int) -> _Layout | None:
        """Return a code that has all words beside it, and the phone's address above or there."""
        from headless_login.terminal.qr.drawing import BESIDE, choose

        phone = self._scene.phone
        for drawing, above in (
            (choose(matrix, look, rows - 1), phone),
            (choose(matrix, look, rows), ""),
        ):
            if drawing is None:
                continue
            columns = look.columns - drawing.columns - BESIDE
            first, *others = self._texts(drawn=True)
            at = phone.rindex("/") + 1
            address = [phone] if len(phone) <= columns else [phone[:at], phone[at:]]
            lines = self._console.wrapped(first, columns=columns) if columns > 0 else []
            lines += [] if above else address
            lines += [
                line for text in others for line in self._console.wrapped(text, columns=columns)
            ]
            if len(lines) <= drawing.rows and max(map(len, lines)) <= columns:
                return _Layout(drawing, beside=(*lines,), above=above)
        return None

    def _write(self, layout: _Layout, *, again: bool = False) -> None:
        """Write a code at once with what belongs around it.

        Where not everything fits, the words come first and may scroll away: address, code and
        question stay.
        """
        self._drawn, drawing = True, layout.drawing
        after = self._after(drawn=True, doubt=drawing.doubt)
        if layout.fits:
            before = self._address() if again else ""
            self._console.write(f"{before}{drawing.draw()}{after}")
        elif layout.beside:
            self._console.write(f"{self._url}\n" if again else "")
            lines = [*filter(None, [layout.above]), *drawing.beside(layout.beside)]
            self._console.write("\n".join([*lines, ""]))
        else:
            self._console.write(f"{after}{self._url}\n{drawing.draw()}")

    def _address(self) -> str:
        if self._scene.words:
            return f"{self._url}\n"
        here = self._scene.port is not None and not self._scene.place.is_remote
        introduction = words.OPEN_HERE if here else words.OPEN_ANYWHERE
        return "\n".join([*self._console.wrapped(introduction), self._url, ""])

    def _after(self, *, drawn: bool = True, doubt: str = "") -> str:
        """Return the words below the address, each line with its end."""
        scene, lines = self._scene, list[str]()
        first, *texts = self._texts(drawn=drawn)
        if scene.phone:  # whole, below the words that lead to it
            lines, first = [*self._console.wrapped(first), scene.phone], ""
        texts = [text for text in (first, *texts, doubt) if text]
        lines += [line for text in texts for line in self._console.wrapped(text)]
        if scene.command:
            lines.append(scene.command)
        if scene.port is not None and not self._is_small and not scene.phone:
            # Not wrapped: a command has to be copied whole.
            lines += tunnel_advice(scene.place, scene.port, scene.bind)
        return "\n".join([*lines, ""])

    def _texts(self, *, drawn: bool) -> list[str]:
        """Return the words around the address, a paragraph each; the phone's page comes first."""
        scene = self._scene
        texts = list(scene.words) or words.explanations(
            listening=scene.port is not None,
            can_paste=scene.can_paste,
            by_finish=bool(scene.command),
            opened=self._opened,
            by_phone=drawn,
            brief=self._is_small,
        )
        if not scene.phone:
            return [*texts, *([words.NO_PASTING] if scene.no_paste else [])]
        page = words.PHONE_PAGE if drawn else words.PHONE_PAGE_ALONE
        leads = [words.PHONE_LEADS, *([words.PHONE_CONFIRMED] if scene.is_confirmed else [])]
        if scene.command or not scene.can_paste or self._is_small:
            return [page, " ".join(leads), *texts]
        opened = [words.OPENED] if self._opened else []
        return [page, " ".join(leads), *opened, words.OR_PASTE, words.ONLY_YOURSELF]

    def _look(self) -> Look:
        from headless_login.terminal.qr.capabilities import look_at

        return look_at(self._console, colours_asked=self._scene.qr in ("always", "graphics"))

    def _too_small(self, drawing: Drawing, look: Look) -> str:
        """Return the size that is needed, at this width if it is wide enough."""
        columns = max(look.columns, drawing.columns)
        rows = -(-len(self._url) // columns) + drawing.rows + _QUESTION
        return words.too_small((columns, rows), (look.columns, look.rows), self._scene.place)

    @property
    def _is_small(self) -> bool:
        columns, rows = self._console.size
        return self._console.is_terminal and (columns < _SMALL_COLUMNS or rows < _SMALL_ROWS)


def is_wide(bind: str | None) -> bool:
    """Return whether an address to listen on can be reached from other machines."""
    return bind is not None and not bind.startswith(("127.", "::1"))


def write_qr_file(text: str, path: str) -> str:
    """Write the picture, private (0600) because it carries the state, and return where it is.

    Raises:
        LocalTrouble: `store_failed`; it cannot be written.
        WrongUsage: the text is too long for a QR code.
    """
    from headless_login.terminal.qr.matrix import matrix_of
    from headless_login.terminal.qr.pictures import png, svg

    matrix = matrix_of(text)
    if matrix is None:
        raise WrongUsage("The address is too long for a QR code.", "Leave --qr-file out.")
    where = os.path.abspath(os.path.expanduser(path))
    try:
        replace_file(where, svg(matrix).encode() if path.lower().endswith(".svg") else png(matrix))
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return where
    raise LocalTrouble(
        "store_failed", f"{where} cannot be written: {reason}.", "Name another with --qr-file."
    )
