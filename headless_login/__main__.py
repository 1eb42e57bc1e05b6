"""The process: its signals, and its end without the interpreter's slow farewell."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from headless_login.errors import Terminated

_ENDING = [signal.SIGTERM]
if sys.platform != "win32":
    _ENDING.append(signal.SIGHUP)


def _terminate(number: int, frame: object) -> None:  # noqa: ARG001
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)  # they come together, and must not break off the end
    raise Terminated(number)


def _heed_signals() -> None:
    for each in _ENDING:
        if signal.getsignal(each) != signal.SIG_IGN:  # as under nohup
            signal.signal(each, _terminate)


def run() -> NoReturn:
    """Run the command line and end the process with its exit code.

    os._exit: what has to survive is on disk by then, and a thread that still waits for a server
    must not hold up the end.
    """
    exit_code = 130
    gc.disable()  # nothing is thrown away while a command starts; who waits long, enables it
    try:
        _heed_signals()
        from headless_login.cli import main

        exit_code = main()
    except KeyboardInterrupt:
        pass
    except Terminated as ended:
        exit_code = ended.exit_code
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(exit_code)


if __name__ == "__main__":
    run()
