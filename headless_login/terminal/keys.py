"""Keys in every mode that a terminal may be left in by another program, as the plain ones.

Three protocols put a key into a control sequence: kitty's keyboard protocol (`CSI code ; modifiers
u`, with event types, alternate keys and text), xterm's modifyOtherKeys (`CSI 27 ; modifiers ; code
~`, or as kitty's with formatOtherKeys) and the win32-input-mode of Windows' terminals (`CSI Vk ;
Sc ; Uc ; Kd ; Cs ; Rc _`). A question has no use for any other sequence.
"""

from __future__ import annotations

import re

PASTE_BEGINS, PASTE_ENDS = "\x1b[200~", "\x1b[201~"
# A control sequence (ECMA-48 §5.4; X10's mouse has three bytes more), a single shift, a terminal's
# late reply to another program; or a lone Escape.
_SEQUENCE = re.compile(
    r"\x1b(?:\[M[^\x00-\x1f]{3}|\[([0-?]*)[ -/]*([@-~])|O[ -~]|[]P_^X][^\x00-\x1f]*(?:\a|\x1b\\))?"
)
_BEGUN = re.compile(r"\x1b(\[(M[^\x00-\x1f]{0,2}|[0-?]*[ -/]*)|O|[]P_^X][^\x00-\x1f]*\x1b?)?\Z")
_SHIFT, _CTRL, _CAPS = 1, 4, 64
_OTHERS = 2 | 8 | 16 | 32  # Alt, Super, Hyper, Meta: those keys belong to other programs
_CONTROLS = "abcdefghijklmnopqrstuvwxyz[\\]"
_EDITING = (8, 9, 13, 127)  # whatever is held down with them
_RELEASED = "3"
# Where only the key is told, not what it writes: as on a US keyboard.
_SHIFTED = str.maketrans("`1234567890-=[]\\;',./", '~!@#$%^&*()_+{}|:"<>?')
_KEYPAD = dict(enumerate("0123456789./*-+\r=", 57399))


class PlainKeys:
    """Turns what a terminal sends into characters, control characters and marks of pastes."""

    def __init__(self) -> None:
        """Nothing was sent yet."""
        self._begun = ""

    def of(self, sent: str) -> str:
        """Return the plain keys of the next piece; a sequence may be broken over pieces."""
        sent = self._begun + sent
        begun = _BEGUN.search(sent)
        self._begun = begun[0] if begun else ""
        return _SEQUENCE.sub(_plain, sent[: len(sent) - len(self._begun)])


def _plain(found: re.Match[str]) -> str:
    whole, parameters, final = found[0], found[1], found[2]
    if whole in (PASTE_BEGINS, PASTE_ENDS):
        return whole
    if whole == "\x1bOM":  # Enter on a keypad in application mode
        return "\r"
    fields = [field.split(":") for field in (parameters or "").split(";")]
    try:
        if final == "u":
            return _of_kitty(fields)
        if final == "~" and fields[0] == ["27"] and len(fields) == 3:
            held = int(fields[1][0]) - 1  # the code is what the key writes with Shift
            return _key(int(fields[2][0]), held if held & _CTRL else held & ~_SHIFT)
        if final == "_" and len(fields) >= 4:
            return _of_windows(*(int(field[0] or 0) for field in fields[2:4]))
    except (ValueError, OverflowError):
        pass
    return ""


def _of_windows(code: int, is_down: int) -> str:
    return chr(code) if code and is_down and not 0xD800 <= code <= 0xDFFF else ""


def _of_kitty(fields: list[list[str]]) -> str:
    """Read `code:shifted:base ; modifiers:event ; text`."""
    codes, (modifiers, *event), text = [*fields, [""], [""]][:3]
    if event == [_RELEASED]:
        return ""
    held = int(modifiers or 1) - 1
    if text != [""]:
        return "".join(_key(int(each), 0) for each in text)
    code, shifted, base = [*(int(each or 0) for each in codes), 0, 0][:3]
    if held & _CTRL:
        return _key(base or code, held)  # Ctrl-C where the letters are Cyrillic
    if shifted and held & _SHIFT:
        return _key(shifted, held & ~_SHIFT)
    return _key(code, held)


def _key(code: int, held: int) -> str:
    """Return what a key means, by its code point and the modifiers (bits) held down with it."""
    if code in _EDITING:
        return chr(code)
    if code in _KEYPAD:
        return _KEYPAD[code]
    if 0xD800 <= code <= 0xF8FF or code < 0x20 or held & _OTHERS:
        return ""
    if held & _CTRL:
        # With Shift it is what copies in many terminals, and no reason to end.
        is_control = chr(code) in _CONTROLS and not held & _SHIFT
        return chr(code & 0x1F) if is_control else ""
    if held & (_SHIFT | _CAPS):
        return chr(code).upper() if chr(code).isalpha() else chr(code).translate(_SHIFTED)
    return chr(code)
