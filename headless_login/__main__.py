"""The process: its signals, and its end without the interpreter's slow farewell."""

from __future__ import annotations

import gc
import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # without the module, which takes as long as a bare interpreter's start
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line and end the process with its exit code.

    os._exit: what has to survive is on disk by then, and a thread that still waits for a server
    must not hold up the end.
    """
    exit_code = 130
    try:
        gc.disable()  # nothing is thrown away while a command starts; who waits long, enables it
        exit_code = _run()
    except KeyboardInterrupt:
        pass
    except SystemExit as ended:  # Terminated
        exit_code = ended.code if isinstance(ended.code, int) else 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:  # noqa: SIM105  # contextlib takes time, too
                stream.flush()
            except (OSError, ValueError, AttributeError):
                pass
        os._exit(exit_code)


def _run() -> int:
    if sys.argv[1:] == ["--version"]:
        from headless_login import __version__

        sys.stdout.write(f"headless-login {__version__}\n")
        return 0
    if sys.platform == "win32":
        _write_utf8()
    _heed_signals()
    from headless_login.cli import main

    return main()


def _write_utf8() -> None:
    """Write UTF-8 and single line feeds into pipes and files, whatever Windows' code page is.

    Else what it does not know is lost, and a path that is shown leads nowhere.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding="utf-8", errors="surrogatepass", newline="\n")


def _heed_signals() -> None:
    import signal

    ending = [signal.SIGTERM]
    if sys.platform == "win32":
        ending.append(signal.SIGBREAK)  # Ctrl-Break, and a console that is closed
    else:
        ending.append(signal.SIGHUP)

    def terminate(number: int, frame: object) -> None:  # noqa: ARG001
        from headless_login.errors import Terminated

        for each in ending:  # they come together, and must not break off the end
            signal.signal(each, signal.SIG_IGN)
        # Windows tells both by one signal: as Ctrl-C, but the sign-in stays pending.
        is_break = number == getattr(signal, "SIGBREAK", None)
        raise Terminated(signal.SIGINT if is_break else number)

    for each in ending:
        if signal.getsignal(each) != signal.SIG_IGN:  # as under nohup
            signal.signal(each, terminate)


if __name__ == "__main__":
    run()
