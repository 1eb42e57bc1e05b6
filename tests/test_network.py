"""Corporate networks: certificates, proxies, and what is said when they are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.program import Outcome, Piped, environment
from tests.support.tls import connect_proxy, make_certificate, tls_in_front_of


@contextmanager
def _secure_issuer(folder: Path) -> Iterator[tuple[PracticeIssuer, Path]]:
    """Serve an issuer over TLS whose certificate no public authority has signed."""
    certificate, key = make_certificate(folder, "corporate")
    with PracticeIssuer() as issuer:
        plain = issuer.issuer
        with tls_in_front_of(int(plain.rpartition(":")[2]), certificate, key) as port:
            issuer.issuer = f"https://localhost:{port}"
            yield issuer, certificate


def _sign_in(issuer: PracticeIssuer, plain_port: int, environ: dict[str, str]) -> Outcome:
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        url = piped.read_url()
        return piped.finish(approve(url.replace(issuer.issuer, f"http://127.0.0.1:{plain_port}")))


@pytest.fixture
def secure(tmp_path: Path, codex_home: Path) -> Iterator[tuple[PracticeIssuer, int, Path]]:
    """An issuer behind TLS, the plain port behind it, and its certificate."""
    _ = codex_home
    with _secure_issuer(tmp_path) as (issuer, certificate):
        yield issuer, issuer._server.server_port, certificate


@pytest.mark.parametrize(
    "names",
    [("CODEX_CA_CERTIFICATE",), ("SSL_CERT_FILE",), ("REQUESTS_CA_BUNDLE",)],
)
def test_a_corporate_certificate_is_taken(
    names: tuple[str, ...], secure: tuple[PracticeIssuer, int, Path], codex_home: Path
) -> None:
    """Each of the variables that people set is honoured."""
    issuer, port, certificate = secure
    extra = dict.fromkeys(names, str(certificate))
    outcome = _sign_in(issuer, port, environment(codex_home, issuer.issuer, **extra))
    assert outcome.exit_code == 0, outcome.err
    assert (codex_home / "auth.json").exists()


def test_codex_own_variable_comes_first(
    secure: tuple[PracticeIssuer, int, Path], codex_home: Path, tmp_path: Path
) -> None:
    """A stale SSL_CERT_FILE does no harm where CODEX_CA_CERTIFICATE is right, not vice versa."""
    issuer, port, certificate = secure
    stale, _ = make_certificate(tmp_path, "stale")
    right = {"CODEX_CA_CERTIFICATE": str(certificate), "SSL_CERT_FILE": str(stale)}
    wrong = {"CODEX_CA_CERTIFICATE": str(stale), "SSL_CERT_FILE": str(certificate)}
    assert _sign_in(issuer, port, environment(codex_home, issuer.issuer, **right)).exit_code == 0
    outcome = _sign_in(issuer, port, environment(codex_home, issuer.issuer, **wrong))
    assert outcome.exit_code == 4
    assert f"{stale} (from CODEX_CA_CERTIFICATE)" in outcome.err


def test_an_unknown_certificate_is_refused(
    secure: tuple[PracticeIssuer, int, Path], codex_home: Path
) -> None:
    """Without the corporate certificate there is no sign-in, and the way out is named."""
    issuer, port, _ = secure
    outcome = _sign_in(issuer, port, environment(codex_home, issuer.issuer))
    assert outcome.exit_code == 4
    assert "No trustworthy TLS connection" in outcome.err
    assert "CODEX_CA_CERTIFICATE" in outcome.err
    assert not (codex_home / "auth.json").exists()


@pytest.mark.parametrize("content", [None, "", "not a certificate"])
def test_a_broken_certificate_file_is_named(
    content: str | None,
    secure: tuple[PracticeIssuer, int, Path],
    codex_home: Path,
    tmp_path: Path,
) -> None:
    """A file that is missing, empty or something else is what the sentence names."""
    issuer, port, _ = secure
    broken = tmp_path / "broken.pem"
    if content is not None:
        broken.write_text(content)
    environ = environment(codex_home, issuer.issuer, SSL_CERT_FILE=str(broken))
    outcome = _sign_in(issuer, port, environ)
    assert outcome.exit_code == 4
    assert f"{broken} (from SSL_CERT_FILE)" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_proxy_from_the_environment_is_used(
    secure: tuple[PracticeIssuer, int, Path], codex_home: Path
) -> None:
    """The issuer is reached through HTTPS_PROXY."""
    issuer, port, certificate = secure
    with connect_proxy() as (proxy, asked):
        extra = {
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy}",
            "CODEX_CA_CERTIFICATE": str(certificate),
        }
        outcome = _sign_in(issuer, port, environment(codex_home, issuer.issuer, **extra))
    assert outcome.exit_code == 0, outcome.err
    assert asked
    assert asked[0].startswith("CONNECT localhost:")


def test_no_proxy_is_honoured(secure: tuple[PracticeIssuer, int, Path], codex_home: Path) -> None:
    """What NO_PROXY excepts is reached directly."""
    issuer, port, certificate = secure
    with connect_proxy() as (proxy, asked):
        extra = {
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy}",
            "NO_PROXY": "localhost",
            "CODEX_CA_CERTIFICATE": str(certificate),
        }
        outcome = _sign_in(issuer, port, environment(codex_home, issuer.issuer, **extra))
    assert outcome.exit_code == 0, outcome.err
    assert not asked


def test_a_refusing_proxy_is_named_without_its_password(
    secure: tuple[PracticeIssuer, int, Path], codex_home: Path
) -> None:
    """The sentence names the proxy; user name and password stay out of it."""
    issuer, port, certificate = secure
    with connect_proxy(refuse=True) as (proxy, _):
        extra = {
            "HTTPS_PROXY": f"http://ada:s3cr3t-word@127.0.0.1:{proxy}",
            "CODEX_CA_CERTIFICATE": str(certificate),
        }
        outcome = _sign_in(issuer, port, environment(codex_home, issuer.issuer, **extra))
    assert outcome.exit_code == 4
    assert f"through the proxy 127.0.0.1:{proxy}: the proxy refuses" in outcome.err
    assert "s3cr3t-word" not in outcome.err


def test_loopback_never_meets_a_proxy(issuer: PracticeIssuer, codex_home: Path) -> None:
    """An issuer on this machine is asked directly, whatever the environment says."""
    with connect_proxy(refuse=True) as (proxy, asked):
        extra = dict.fromkeys(
            ("HTTP_PROXY", "http_proxy", "ALL_PROXY"), f"http://127.0.0.1:{proxy}"
        )
        environ = environment(codex_home, issuer.issuer, **extra)
        with Piped("login", "--paste-redirect", environ=environ) as piped:
            outcome = piped.finish(approve(piped.read_url()))
    assert outcome.exit_code == 0, outcome.err
    assert not asked


def test_netrc_adds_no_password(issuer: PracticeIssuer, codex_home: Path) -> None:
    """A password for the host in ~/.netrc is not sent along with a code."""
    (codex_home / ".netrc").write_text("machine 127.0.0.1 login ada password marked-password\n")
    (codex_home / ".netrc").chmod(0o600)
    with Piped(
        "login", "--paste-redirect", environ=environment(codex_home, issuer.issuer)
    ) as piped:
        assert piped.finish(approve(piped.read_url())).exit_code == 0
    for request in issuer.requests:
        assert request.headers.get("Authorization") is None


def test_what_the_issuer_is_sent(issuer: PracticeIssuer, codex_home: Path) -> None:
    """The token request is Codex's: these parameters, form-encoded, and a name of our own."""
    with Piped(
        "login", "--paste-redirect", environ=environment(codex_home, issuer.issuer)
    ) as piped:
        assert piped.finish(approve(piped.read_url())).exit_code == 0
    (request,) = [request for request in issuer.requests if request.path == "/oauth/token"]
    names = {"grant_type", "client_id", "code", "redirect_uri", "code_verifier"}
    assert set(request.form()) == names
    assert request.form()["redirect_uri"] == "http://127.0.0.1:1455/auth/callback"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["User-Agent"].startswith("headless-login/")
