"""OpenAI's hosts as an own machine sees them: a practice issuer behind TLS, under their names.

Run as a program in the machine's namespaces, it prints a line when it serves, and answers until
its standard input ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from headless_login.practice.issuer import Person, PracticeIssuer
from headless_login.practice.person import approve
from tests.support.own_etc import OwnEtc
from tests.support.tls import make_chain, tls_in_front_of

HOSTS = ("auth.openai.com", "chatgpt.com")
ISSUER = f"https://{HOSTS[0]}"


class OpenAI(PracticeIssuer):
    """The practice issuer under OpenAI's name; agent identities are signed by its keys."""

    def __enter__(self) -> OpenAI:
        super().__enter__()
        self.port = int(self.issuer.rpartition(":")[2])
        self.issuer = ISSUER
        return self


def _serve(folder: Path) -> None:
    authority, certificate, key = make_chain(folder, HOSTS)
    with OpenAI() as issuer, tls_in_front_of(issuer.port, certificate, key, own_port=443):
        print(authority, flush=True)
        for line in sys.stdin:
            kind, value = json.loads(line)
            print(json.dumps(_answer(issuer, kind, value)), flush=True)


def _answer(issuer: OpenAI, kind: str, value: Any) -> Any:
    if kind == "sign":
        return issuer.keys.sign(value)
    if kind == "approve":  # the person's browser goes to the issuer itself
        return approve(value.replace(ISSUER, f"http://127.0.0.1:{issuer.port}"))
    if kind == "account":
        issuer.person = replace(issuer.person, account_id=value)
    return [each.path for each in issuer.requests]


class Hosts:
    """The hosts as a test holds them; `environ` has programs trust them."""

    def __init__(self, process: subprocess.Popen[str], certificate: str) -> None:
        """`process` serves them with that certificate."""
        self._process = process
        self.environ = {"CODEX_CA_CERTIFICATE": certificate, "SSL_CERT_FILE": certificate}
        self.environ |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"), "")

    def sign(self, claims: dict[str, Any]) -> str:
        """Return claims as a JWT that their keys have signed."""
        return str(self._ask("sign", claims))

    def approve(self, url: str) -> str:
        """Return where the browser ends that opens an address and approves."""
        return str(self._ask("approve", url))

    @contextmanager
    def account(self, account_id: str) -> Iterator[None]:
        """Have the person another account for a while; an empty text is none."""
        self._ask("account", account_id)
        try:
            yield
        finally:
            self._ask("account", Person().account_id)

    def paths(self) -> list[str]:
        """Return the paths of all requests so far."""
        return list(self._ask("paths", None))

    def _ask(self, kind: str, value: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([kind, value]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def openai_hosts(machine: OwnEtc, folder: Path) -> Iterator[Hosts]:
    """Have a machine find OpenAI's hosts on itself."""
    (machine.etc / "hosts").write_text(f"127.0.0.1 localhost {' '.join(HOSTS)}\n")
    command = [sys.executable, "-m", "tests.support.openai", str(folder)]
    with machine.started(command, os.environ, Path(__file__).parents[2]) as process:
        assert process.stdout
        yield Hosts(process, process.stdout.readline().strip())


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
