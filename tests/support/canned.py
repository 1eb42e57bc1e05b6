"""An issuer in memory, whose answers are bytes as no server of ours would send them."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from headless_login import Credentials, Rules
from headless_login.issuer.client import IssuerClient
from headless_login.oauth.provider import Provider
from headless_login.practice.wire import Answer

NOWHERE = Provider("http://127.0.0.1:1")


class _Memory(HTTPAdapter):
    def __init__(self, answers: Mapping[str, Answer]) -> None:
        super().__init__()
        self._answers = answers

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        answer = self._answers[urlsplit(request.url).path]
        headers = urllib3.HTTPHeaderDict(answer.headers)
        body = io.BytesIO(answer.body)
        raw = urllib3.HTTPResponse(body, headers, answer.status, preload_content=False)
        return self.build_response(request, raw)


def canned(answers: Mapping[str, Answer], provider: Provider = NOWHERE) -> IssuerClient:
    """Return a client that gets these answers, by their paths."""
    session = requests.Session()
    session.mount("http://", _Memory(answers))
    return IssuerClient(provider, environ={}, session=session)


class Kept:
    """A destination that counts what is stored there."""

    name = "memory"

    def __init__(self) -> None:
        self.stored: list[Credentials] = []

    def check(self, say: Callable[[str], object] = print, *, method: str = "chatgpt") -> Rules:  # noqa: ARG002
        return Rules()

    def steps_before_use(self, rules: Rules) -> list[str]:  # noqa: ARG002
        return []

    def store(self, credentials: Credentials, say: Callable[[str], object] = print) -> None:  # noqa: ARG002
        self.stored.append(credentials)


@contextmanager
def raw_issuer(answer: bytes) -> Iterator[str]:
    """Answer every request with these bytes, and end the connection; yields the issuer."""

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client, suppress(OSError):
                    client.settimeout(10)
                    asked = client.recv(65536)
                    while b"\r\n\r\n" not in asked or len(asked) < _whole(asked):
                        asked += client.recv(65536)
                    client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _whole(asked: bytes) -> int:
    """Return how long a request is, by its head."""
    head, _, _ = asked.partition(b"\r\n\r\n")
    lengths = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return len(head) + 4 + int(next(lengths, b":0").partition(b":")[2])
