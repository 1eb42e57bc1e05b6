"""The file of one pending attempt, and the clock that its time is measured by.

The digest notices damage and edits. It is no defence against another program of the same user,
which can read the verifier, and auth.json, as well.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress

from headless_login.codex.files import sha256_of
from headless_login.oauth.attempt import Attempt, checked
from headless_login.oauth.values import DeviceCode
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, Self

# A version that does not know of expected accounts must not finish an attempt that has one; nor
# one that does not know of targets an attempt that is for one.
_FORMAT, _FORMAT_WITH_EXPECT, _FORMAT_WITH_TARGET = 1, 2, 3


class Moment(NamedTuple):
    """A time of day and, in seconds too, how long this machine had been running by then.

    The time of day can be set back, so that what has expired seems young again; how long a machine
    has been running cannot. `boot` names that run; it is empty where the system gives it no name
    (macOS, Windows).
    """

    wall: float
    uptime: float
    boot: str

    @classmethod
    def now(cls) -> Self:
        """Return the present moment."""
        return cls(time.time(), _uptime(), _boot())

    def since(self, earlier: Moment) -> float | None:
        """Return the seconds that have passed since an earlier moment.

        None where that cannot be told: it lies in another run, or on another machine.
        """
        passed = self.uptime - earlier.uptime
        if self.boot != earlier.boot or passed < 0:
            return None
        # Without names two runs may be taken for one; then the clock has a say as well.
        return passed if self.boot else max(passed, self.wall - earlier.wall)


def _uptime() -> float:
    """Return the seconds since the machine was started, those in which it slept included."""
    if sys.platform == "linux":  # where the monotonic clock stops in sleep
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _boot() -> str:
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
    return ""


class Origin(NamedTuple):
    """Where and when an attempt was begun, and for how many seconds it is valid from then.

    `target` and `folder` are path and identity (device, inode) of the Codex folder.
    """

    target: str
    folder: tuple[int, int]
    host: str
    moment: Moment
    lifetime: float


class Damaged(Exception):
    """The content is not what was written; with a `format` it is what another version wrote."""

    def __init__(self, format_: int | None = None) -> None:
        """`format_` is its number, if it is one that this version does not know."""
        super().__init__()
        self.format = format_


def identifier_of(secret: str) -> str:
    """Return the name of the attempt with this state, or this device code: its hash."""
    return sha256_of(secret.encode(errors="surrogatepass"))[:32]


def identifier(attempt: Attempt) -> str:
    """Return the name of an attempt's file, which reveals neither state nor device code."""
    awaits = attempt.awaits
    return identifier_of(awaits.device_code if isinstance(awaits, DeviceCode) else awaits.state)


def write_record(attempt: Attempt, origin: Origin) -> bytes:
    """Return the content of the file; the time that it is valid for is the origin's."""
    known = _FORMAT_WITH_EXPECT if attempt.expect else _FORMAT
    document = {"format": _FORMAT_WITH_TARGET if attempt.to else known, **attempt.kept()}
    del document["expires_at"]
    for name in ("to", "replaces") if not attempt.to else ():
        del document[name]
    if not attempt.beside:
        del document["beside"]
    if not attempt.expect:
        del document["expect"]
    document["origin"] = origin._asdict() | {"moment": origin.moment._asdict()}
    return json.dumps(document | {"digest": _digest(document)}, indent=2).encode()


def read_record(content: bytes) -> tuple[Attempt, Origin]:
    """Return what a file holds; the attempt's `expires_at` is nothing but the origin's time.

    Raises:
        Damaged: it holds nothing that was written by `write_record`.
    """
    unknown: int | None = None
    try:
        document = json.loads(content)
        if document["format"] not in (_FORMAT, _FORMAT_WITH_EXPECT, _FORMAT_WITH_TARGET):
            unknown = int(document["format"])
        elif document.pop("digest") == _digest(document):
            return _interpret(document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        pass  # raised below: the cause would carry the content along
    raise Damaged(unknown)


def _interpret(document: dict[str, Any]) -> tuple[Attempt, Origin]:
    fields = document["origin"]
    moment = Moment(**checked(fields.pop("moment"), numbers=("wall", "uptime")))
    device, inode = checked(dict(enumerate(fields.pop("folder"))), numbers=(0, 1)).values()
    origin = Origin(**checked(fields, numbers=("lifetime",)), folder=(device, inode), moment=moment)
    expires_at = moment.wall + origin.lifetime
    return Attempt.rebuilt(document | {"expires_at": expires_at}), origin


def _digest(document: dict[str, Any]) -> str:
    return sha256_of(json.dumps(document, sort_keys=True).encode())
