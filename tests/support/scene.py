"""A sign-in at a port of its own: issuer, folder, environment and arguments that fit together."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from headless_login.practice.issuer import Answer, PracticeIssuer
from headless_login.practice.wire import Parameters, json_answer
from tests.support.listening import LOOPBACK, PATIENCE, free_port, listen_at
from tests.support.program import Piped, Terminal, environment

Good = Callable[[], Answer]
# Makes the answer to a token request from what makes the good one, and from its parameters.
Spoil = Callable[[Good, Parameters], Answer]


class SpoiledIssuer(PracticeIssuer):
    """Answers token requests well, or as `spoil` does, but not before `may_answer` is set."""

    def __init__(self, port: int) -> None:
        """It redirects to a port of this machine."""
        super().__init__(redirect_ports=(port,))
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.may_answer.set()
        self.spoil: Spoil = lambda good, _: good()
        # One-time codes: what is changed in them, and how polls are answered, from `may_poll` on.
        self.code_changes: dict[str, object] = {"interval": 1}
        self.spoil_poll: Spoil = lambda good, _: good()
        self.polled, self.may_poll = threading.Event(), threading.Event()
        self.may_poll.set()

    def token_answer(self, form: Parameters) -> Answer:
        """Answer as told."""
        self.asked.set()
        self.may_answer.wait(PATIENCE)
        return self.spoil(lambda: PracticeIssuer.token_answer(self, form), form)

    def user_code_answer(self, form: Parameters) -> Answer:
        """Answer with a code whose polls a test need not wait for."""
        answer = super().user_code_answer(form)
        return json_answer(answer.status, json.loads(answer.body) | self.code_changes)

    def device_token_answer(self, form: Parameters) -> Answer:
        """Answer as told."""
        self.polled.set()
        self.may_poll.wait(PATIENCE)
        return self.spoil_poll(lambda: PracticeIssuer.device_token_answer(self, form), form)


class Scene:
    """What `login --port` needs to sign in, and how to start it."""

    def __init__(self, codex_home: Path) -> None:
        """It begins when it is entered."""
        self.port = free_port()
        self.issuer = SpoiledIssuer(self.port)
        self.auth_file = codex_home / "auth.json"
        self.arguments = ("login", "--port", str(self.port))

    def __enter__(self) -> Self:
        self.issuer.__enter__()
        self.environ = environment(self.auth_file.parent, self.issuer.issuer)
        return self

    def __exit__(self, *_: object) -> None:
        self.issuer.may_answer.set()
        self.issuer.may_poll.set()
        self.issuer.__exit__()

    def terminal(self, *more: str, columns: int = 80, **options: Any) -> Terminal:
        """Start it in a terminal."""
        words = (*self.arguments, *more)
        return Terminal(*words, environ=self.environ, columns=columns, **options)

    def piped(self, *more: str, stdin: int = subprocess.DEVNULL) -> Piped:
        """Start it with pipes for its output."""
        return Piped(*self.arguments, *more, environ=self.environ, stdin=stdin)

    def exchanges(self) -> list[Parameters]:
        """Return the parameters of all token requests so far."""
        return [asked.form() for asked in self.issuer.requests if asked.path == "/oauth/token"]

    def assert_port_is_free(self) -> None:
        """Fail if anybody still listens, on either family."""
        for address in LOOPBACK:
            listen_at(address, self.port).close()
