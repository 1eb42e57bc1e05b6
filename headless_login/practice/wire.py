"""The practice issuer's HTTP: requests and answers as values, and the server on loopback."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Parameters = dict[str, str]

LARGEST_BODY = 64 * 1024  # bytes
_DRAINED = 1024 * 1024  # bytes
_MOST_PARAMETERS = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response; Content-Length is added unless `headers` has its own (to lie with)."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class Refused(Exception):
    """A request is refused; `answer` says so on the wire."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """An HTTP request as it came in; `path` is without the query, `headers` ignore case."""

    method: str
    path: str
    query: str = field(repr=False)
    headers: Message = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_json(self) -> bool:
        """Whether the body calls itself JSON."""
        return self.headers.get_content_type() == "application/json"

    def form(self) -> Parameters:
        """Return the body's parameters, form-encoded or JSON; raises Refused for all else."""
        is_form = self.headers.get_content_type() == "application/x-www-form-urlencoded"
        try:
            if self.is_json:
                return _members(self.body.decode())
            if is_form:
                return parameters(self.body.decode())
        except (ValueError, RecursionError):
            raise refused("invalid_request", "The request is damaged or doubled.") from None
        raise refused("invalid_request", "The body is neither a form nor JSON.")


def parameters(encoded: str) -> Parameters:
    """Return the parameters of a form-encoded text, without empty ones (RFC 6749 §3.1, §3.2).

    Raises ValueError for doubled and undecodable parameters.
    """
    return _once(parse_qsl(encoded, errors="strict", max_num_fields=_MOST_PARAMETERS))


def _members(text: str) -> Parameters:
    """Return the members of a JSON object that are texts; Codex sends no others that matter."""
    value = json.loads(text, object_pairs_hook=_once)
    if not isinstance(value, dict):
        raise ValueError("the JSON is not an object")
    return {name: member for name, member in value.items() if member and isinstance(member, str)}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a parameter is included more than once")
    return found


def json_answer(status: int, value: Mapping[str, object]) -> Answer:
    """Return a JSON object as an answer."""
    return Answer(status, json.dumps(value).encode(), (("Content-Type", "application/json"),))


def text_answer(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """Return one line of plain text as an answer."""
    kind = ("Content-Type", "text/plain; charset=utf-8")
    return Answer(status, f"{text}\n".encode(), (kind, *headers))


def refused(error: str, description: str, *, status: int = 400) -> Refused:
    """Return a refusal as flat JSON (RFC 6749 §5.2)."""
    return Refused(json_answer(status, {"error": error, "error_description": description}))


def nested(status: int, code: str, description: str) -> Answer:
    """Return an error as OpenAI's APIs nest it (codex-facts.md §3, §7)."""
    error = {"message": description, "type": "invalid_request_error", "param": None, "code": code}
    return json_answer(status, {"error": error})


class LoopbackServer(ThreadingHTTPServer):
    """Hands every request to `respond`, on 127.0.0.1 only; nothing is logged."""

    daemon_threads = True
    request_queue_size = 64
    # On Windows SO_REUSEADDR would share the port with a stranger.
    allow_reuse_address = os.name == "posix"

    def __init__(
        self,
        port: int,
        respond: Callable[[RecordedRequest], Answer],
        now: Callable[[], float],
    ) -> None:
        self.respond = respond
        self.now = now
        self.connections = 0  # accepted ones; a client may send several requests by one
        self._kept: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection: a stopped issuer must not live on in kept ones."""
        self.connections += 1
        self._kept.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        self._kept.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """End every connection, too."""
        super().server_close()
        for kept in [*self._kept]:
            with suppress(OSError):
                kept.shutdown(socket.SHUT_RDWR)

    def server_bind(self) -> None:
        """Bind without HTTPServer's getfqdn(), which can stall on a bad resolver."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be quiet about clients that went away; anything else is a mistake of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for its headers' ACK
    timeout = 60.0  # seconds that an idle connection may keep its thread; longer than a poll

    def do_GET(self) -> None:
        """Answer any method; which ones are right is for `respond` to say."""
        try:
            body = self._read_body()
            target = urlsplit(self.path)
        except (ValueError, Refused) as bad:
            self.close_connection = True
            damaged = text_answer(400, "The address is damaged.")
            self._write(bad.answer if isinstance(bad, Refused) else damaged)
            self._drain()
            return
        request = RecordedRequest(self.command, target.path, target.query, self.headers, body)
        self._write(self.server.respond(request))

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_GET  # noqa: N815

    def _read_body(self) -> bytes:
        """Return the body; raises Refused for one that is too long or of unknown length."""
        lengths = self.headers.get_all("Content-Length", ["0"])
        if "Transfer-Encoding" in self.headers:
            raise Refused(text_answer(411, "Send a Content-Length."))
        if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            raise Refused(text_answer(400, "The Content-Length is not a number."))
        if len(lengths[0]) > 9 or int(lengths[0]) > LARGEST_BODY:
            raise Refused(text_answer(413, "The body is too large."))
        body = self.rfile.read(int(lengths[0]))
        if len(body) < int(lengths[0]):
            raise Refused(text_answer(400, "The body is cut off."))
        return body

    def _drain(self) -> None:
        """Read what still comes: closing on unread data would reset the answer away."""
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(1.0)
        self.rfile.read(_DRAINED)

    def _write(self, answer: Answer) -> None:
        names = {name.lower() for name, _ in answer.headers}
        # After an answer that lies about its length, only the end of the connection tells it.
        self.close_connection |= not names.isdisjoint(("content-length", "transfer-encoding"))
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if "content-length" not in names:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin an answer with what all of them say (RFC 6749 §5.1 asks for no-store)."""
        super().send_response(code, message)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Tell the issuer's time, not the machine's."""
        return super().date_time_string(int(self.server.now()) if timestamp is None else timestamp)

    def version_string(self) -> str:
        """Name the server, not the Python it runs on."""
        return "practice-issuer"

    def log_message(self, *_: Any) -> None:
        """Log nothing: queries and bodies carry codes."""
