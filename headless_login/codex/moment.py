"""Points in time that no change of this machine's clock can move.

The time of day can be set back, so that what has expired seems young again. How long this machine
has been running cannot: as long as it is the same run, that alone tells how much time has passed.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of day and, in seconds too, how long this machine had been running by then.

    `boot` names that run; it is empty where the system gives it no name (macOS, Windows).
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

        None where nobody can tell: it lies in another run, or on another machine.
        """
        passed = self.uptime - earlier.uptime
        if self.boot != earlier.boot or passed < 0:
            return None
        # Without names two runs may be taken for one; then the clock has a say as well.
        return passed if self.boot else max(passed, self.wall - earlier.wall)


def _uptime() -> float:
    """Return the seconds since the machine was started, those in which it slept included."""
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux, where the monotonic clock stops in sleep
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _boot() -> str:
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
    return ""
