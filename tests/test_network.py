"""Corporate networks: certificates, proxies, and what is said when they are wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.program import Outcome, Piped, environment
from tests.support.tls import connect_proxy, make_certificate, tls_in_front_of

SignIn = Callable[..., Outcome]


@pytest.fixture
def sign_in(issuer: PracticeIssuer, codex_home: Path) -> SignIn:
    """Signs in with these variables at the issuer, perhaps by the address of what is before it."""

    plain = issuer.issuer

    def sign_in(*, at: str = plain, **extra: object) -> Outcome:
        environ = environment(codex_home, at, **{name: str(extra[name]) for name in extra})
        with Piped("login", "--paste-redirect", environ=environ) as piped:
            return piped.finish(approve(piped.read_url().replace(at, plain)))

    return sign_in


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate that no public authority has signed."""
    return make_certificate(tmp_path, "corporate")[0]


@pytest.fixture
def secure_sign_in(sign_in: SignIn, certificate: Path, issuer: PracticeIssuer) -> Iterator[SignIn]:
    """The same, by TLS with that certificate; the ID token names the issuer by that address."""
    port = int(issuer.issuer.rpartition(":")[2])
    with tls_in_front_of(port, certificate, certificate.with_suffix(".key")) as own_port:
        issuer.issuer = f"https://localhost:{own_port}"
        yield lambda **extra: sign_in(at=issuer.issuer, **extra)


@pytest.mark.parametrize("name", ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_corporate_certificate_is_taken(
    name: str, secure_sign_in: SignIn, certificate: Path, codex_home: Path
) -> None:
    """Each of the variables that people set is honoured."""
    outcome = secure_sign_in(**{name: certificate})
    assert outcome.exit_code == 0, outcome.err
    assert (codex_home / "auth.json").exists()


def test_codex_own_variable_comes_first(
    secure_sign_in: SignIn, certificate: Path, tmp_path: Path
) -> None:
    """A stale SSL_CERT_FILE does no harm where CODEX_CA_CERTIFICATE is right, not vice versa."""
    stale, _ = make_certificate(tmp_path, "stale")
    right = secure_sign_in(CODEX_CA_CERTIFICATE=certificate, SSL_CERT_FILE=stale)
    assert right.exit_code == 0, right.err
    wrong = secure_sign_in(CODEX_CA_CERTIFICATE=stale, SSL_CERT_FILE=certificate)
    assert wrong.exit_code == 4
    assert f"{stale} (from CODEX_CA_CERTIFICATE)" in wrong.err


def test_an_unknown_certificate_is_refused(secure_sign_in: SignIn, codex_home: Path) -> None:
    """Without the corporate certificate there is no sign-in, and the way out is named."""
    outcome = secure_sign_in()
    assert outcome.exit_code == 4
    assert "No trustworthy TLS connection" in outcome.err
    assert "CODEX_CA_CERTIFICATE" in outcome.err
    assert not (codex_home / "auth.json").exists()


@pytest.mark.parametrize("content", [None, "", "not a certificate"])
def test_a_broken_certificate_file_is_named(
    content: str | None, secure_sign_in: SignIn, tmp_path: Path
) -> None:
    """A file that is missing, empty or something else is what the sentence names."""
    broken = tmp_path / "broken.pem"
    if content is not None:
        broken.write_text(content)
    outcome = secure_sign_in(SSL_CERT_FILE=broken)
    assert outcome.exit_code == 4
    assert f"{broken} (from SSL_CERT_FILE)" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(("exception", "connects"), [({}, 1), ({"NO_PROXY": "localhost"}, 0)])
def test_a_proxy_from_the_environment_is_used(
    exception: dict[str, str], connects: int, secure_sign_in: SignIn, certificate: Path
) -> None:
    """The issuer is reached through HTTPS_PROXY, unless NO_PROXY excepts it."""
    with connect_proxy() as (proxy, asked):
        extra = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy}", **exception}
        outcome = secure_sign_in(CODEX_CA_CERTIFICATE=certificate, **extra)
    assert outcome.exit_code == 0, outcome.err
    assert [head.split(":")[0] for head in asked] == ["CONNECT localhost"] * connects


def test_a_refusing_proxy_is_named_without_its_password(
    secure_sign_in: SignIn, certificate: Path
) -> None:
    """The sentence names the proxy; user name and password stay out of it."""
    with connect_proxy(refuse=True) as (proxy, _):
        address = f"http://ada:s3cr3t-word@127.0.0.1:{proxy}"
        outcome = secure_sign_in(HTTPS_PROXY=address, CODEX_CA_CERTIFICATE=certificate)
    assert outcome.exit_code == 4
    assert f"through the proxy 127.0.0.1:{proxy}: the proxy refuses" in outcome.err
    assert "s3cr3t-word" not in outcome.err


def test_loopback_never_meets_a_proxy(sign_in: SignIn) -> None:
    """An issuer on this machine is asked directly, whatever the environment says."""
    with connect_proxy(refuse=True) as (proxy, asked):
        names = ("HTTP_PROXY", "http_proxy", "ALL_PROXY")
        outcome = sign_in(**dict.fromkeys(names, f"http://127.0.0.1:{proxy}"))
    assert outcome.exit_code == 0, outcome.err
    assert not asked


def test_what_the_issuer_is_sent(sign_in: SignIn, issuer: PracticeIssuer, codex_home: Path) -> None:
    """Codex's parameters, form-encoded, and a name of our own, but no password of ~/.netrc."""
    (codex_home / ".netrc").write_text("machine 127.0.0.1 login ada password marked-password\n")
    (codex_home / ".netrc").chmod(0o600)
    assert sign_in().exit_code == 0
    (request,) = [request for request in issuer.requests if request.path == "/oauth/token"]
    names = {"grant_type", "client_id", "code", "redirect_uri", "code_verifier"}
    assert set(request.form()) == names
    assert request.form()["redirect_uri"] == "http://127.0.0.1:1455/auth/callback"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["User-Agent"].startswith("headless-login/")
    assert not [asked for asked in issuer.requests if asked.headers.get("Authorization")]
