"""Asking for the pasted answer: on a terminal, or from a pipe."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

from headless_login.commands.sign_in import PASTE_LABEL, without_input
from headless_login.errors import TimedOut
from headless_login.flows.paste import settles
from headless_login.oauth.request import AuthorizationRequest
from headless_login.terminal.console import Console


def ask_terminal(
    console: Console,
    request: AuthorizationRequest,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Return one answer pasted into the terminal; `deadline` is a time of `clock`.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        TimedOut: none came in time.
        WrongUsage: the terminal was closed (Ctrl-D).
    """
    from headless_login.terminal.prompt import AnswerPrompt

    if console.is_dumb:
        console.write(PASTE_LABEL)
    prompt = AnswerPrompt(console, PASTE_LABEL, lambda text: settles(request, text))
    ended: Exception
    with asyncio.Runner() as runner:
        try:
            answer = runner.run(asyncio.wait_for(prompt.ask(), max(0.0, deadline - clock())))
        except TimeoutError:
            ended = TimedOut("Nobody pasted an answer in time.", "Start a new sign-in.")
        except EOFError:
            ended = without_input()
        else:
            if answer is not None:
                return answer
            raise KeyboardInterrupt
    raise ended


def ask_pipe(
    console: Console,  # noqa: ARG001
    request: AuthorizationRequest,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Return the one answer that standard input holds.

    Raises:
        TimedOut: none came in time.
        WrongUsage: it holds nothing.
    """
    from headless_login.terminal.pipe import read_pipe

    text = ""
    if sys.stdin is not None:
        text = read_pipe(
            sys.stdin.fileno(), lambda got: settles(request, got), deadline=deadline, clock=clock
        )
    if not text.strip():
        raise without_input()
    return text
