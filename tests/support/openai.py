"""OpenAI's hosts as an own machine sees them: a practice issuer behind TLS, under their names.

Run as a program in the machine's namespaces, it prints a line when it serves, and answers until
its standard input ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headless_login.practice.issuer import PracticeIssuer
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
        for line in sys.stdin:  # claims to be signed
            print(issuer.keys.sign(json.loads(line)), flush=True)
            print(json.dumps([each.path for each in issuer.requests]), flush=True)


class Hosts:
    """The hosts as a test holds them; `environ` has programs trust them."""

    def __init__(self, process: subprocess.Popen[str], certificate: str) -> None:
        """`process` serves them with that certificate."""
        self._process = process
        self.environ = {"CODEX_CA_CERTIFICATE": certificate, "SSL_CERT_FILE": certificate}
        self.environ |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"), "")

    def sign(self, claims: dict[str, Any]) -> str:
        """Return claims as a JWT that their keys have signed."""
        return self._ask(claims)[0]

    def paths(self) -> list[str]:
        """Return the paths of all requests so far."""
        return list(json.loads(self._ask({})[1]))

    def _ask(self, claims: dict[str, Any]) -> tuple[str, str]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(claims) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip(), self._process.stdout.readline()


@contextmanager
def openai_hosts(machine: OwnEtc, folder: Path) -> Iterator[Hosts]:
    """Have a machine find OpenAI's hosts on itself."""
    (machine.etc / "hosts").write_text(f"127.0.0.1 localhost {' '.join(HOSTS)}\n")
    command = [sys.executable, "-m", "tests.support.openai", str(folder)]
    with machine.start(command) as process:
        assert process.stdout
        yield Hosts(process, process.stdout.readline().strip())
        process.kill()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
