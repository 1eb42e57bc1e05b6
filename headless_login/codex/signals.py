"""Holding signals back for the few milliseconds in which a file is between two states."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# SIGHUP: a connection that breaks at this very moment must not leave half of anything either.
_HELD = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def signals_held() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP wait until the end, and act then.

    By handlers and not by a signal mask: a signal that this thread blocks goes to another one,
    and Python raises its exception here all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # no signal is ever raised here
        return
    arrived: list[int] = []
    before = {}
    try:
        for number in _HELD:
            if (handler := signal.getsignal(number)) is not None:
                before[number] = handler
                signal.signal(number, lambda number, _: arrived.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in arrived:
            signal.raise_signal(number)
