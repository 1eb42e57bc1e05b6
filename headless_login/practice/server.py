"""HTTP on loopback: each connection in a thread of its own, nothing logged."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

from headless_login.practice.wire import Answer, RecordedRequest, text_answer

LARGEST_BODY = 64 * 1024  # bytes
_DRAINED = 1024 * 1024  # bytes


class LoopbackServer(ThreadingHTTPServer):
    """Hands every request to `respond`, on 127.0.0.1 only."""

    daemon_threads = True
    request_queue_size = 64
    # On Windows SO_REUSEADDR would share the port with a stranger.
    allow_reuse_address = os.name == "posix"

    def __init__(
        self,
        port: int,
        respond: Callable[[RecordedRequest], Answer],
        on_connection: Callable[[], None],
    ) -> None:
        self.respond = respond
        self._on_connection = on_connection
        self._kept: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection: a stopped issuer must not live on in kept ones."""
        self._on_connection()
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
    timeout = 60.0  # seconds that an idle connection may keep its thread; longer than a poll

    def do_GET(self) -> None:
        """Answer any method; which ones are right is for `respond` to say."""
        request = self._read_request()
        if isinstance(request, RecordedRequest):
            self._write(self.server.respond(request))
        else:
            self.close_connection = True
            self._write(request)
            self._drain()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_GET  # noqa: N815

    def _read_request(self) -> RecordedRequest | Answer:
        body = self._read_body()
        if isinstance(body, Answer):
            return body
        try:
            target = urlsplit(self.path)
        except ValueError:
            return text_answer(400, "The address is damaged.")
        return RecordedRequest(self.command, target.path, target.query, self.headers, body)

    def _read_body(self) -> bytes | Answer:
        """Return the body, or the refusal of one that is too long or of unknown length."""
        lengths = self.headers.get_all("Content-Length", ["0"])
        if "Transfer-Encoding" in self.headers:
            return text_answer(411, "Send a Content-Length.")
        if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            return text_answer(400, "The Content-Length is not a number.")
        if len(lengths[0]) > 9 or int(lengths[0]) > LARGEST_BODY:
            return text_answer(413, "The body is too large.")
        body = self.rfile.read(int(lengths[0]))
        return body if len(body) == int(lengths[0]) else text_answer(400, "The body is cut off.")

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

    def version_string(self) -> str:
        """Name the server, not the Python it runs on."""
        return "practice-issuer"

    def log_message(self, *_: Any) -> None:
        """Log nothing: queries and bodies carry codes."""
