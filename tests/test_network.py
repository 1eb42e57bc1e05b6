"""Corporate networks: certificates, proxies, and what is said when they are wrong."""

from __future__ import annotations

import errno
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from headless_login.errors import IssuerTrouble
from headless_login.issuer.connections import connect
from headless_login.issuer.surroundings import proxy_of
from headless_login.oauth.provider import CODEX
from headless_login.oauth.text import clock_setting
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from tests.support.listening import free_port
from tests.support.program import COMMAND, Outcome, Piped, environment, run
from tests.support.tls import connect_proxy, make_certificate, socks_proxy, tls_in_front_of

SignIn = Callable[..., Outcome]
PASTE = ("login", "--paste-redirect")


@pytest.fixture
def sign_in(issuer: PracticeIssuer, codex_home: Path) -> SignIn:
    """Signs in with these variables at the issuer, perhaps by the address of what is before it."""

    plain = issuer.issuer

    def sign_in(
        *, at: str = plain, command: Sequence[str] = (COMMAND, *PASTE), **extra: object
    ) -> Outcome:
        environ = environment(codex_home, at, **{name: str(extra[name]) for name in extra})
        with Piped(environ=environ, command=command) as piped:
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


def test_codexs_own_variable_is_added(
    secure_sign_in: SignIn, certificate: Path, tmp_path: Path
) -> None:
    """As by Codex, a stale one does no harm where the other one is right."""
    stale, _ = make_certificate(tmp_path, "stale")
    for right, wrong in [(certificate, stale), (stale, certificate)]:
        outcome = secure_sign_in(CODEX_CA_CERTIFICATE=right, SSL_CERT_FILE=wrong)
        assert outcome.exit_code == 0, outcome.err
    outcome = secure_sign_in(CODEX_CA_CERTIFICATE=stale)
    assert outcome.exit_code == 4
    assert f"{stale} (from CODEX_CA_CERTIFICATE) and this system's certificates" in outcome.err


def test_an_unknown_certificate_is_refused(secure_sign_in: SignIn, codex_home: Path) -> None:
    """Without the corporate certificate there is no sign-in, and the way out is named."""
    outcome = secure_sign_in()
    assert outcome.exit_code == 4
    assert "No trustworthy TLS connection" in outcome.err
    assert "CODEX_CA_CERTIFICATE" in outcome.err
    assert not (codex_home / "auth.json").exists()


def _before_the_address(codex_home: Path, **extra: str) -> str:
    """Begin a sign-in at OpenAI that cannot get through; returns what is said in its place."""
    outcome = run("login", "start", environ=environment(codex_home, None, **extra))
    assert (outcome.exit_code, outcome.out) == (4, "")
    return outcome.err


@pytest.mark.parametrize("name", ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("kind", "phrase"),
    [
        ("missing", "cannot be read: No such file"),
        ("empty", "holds no certificate (PEM)"),
        ("text", "holds no certificate (PEM)"),
        ("damaged", "is damaged"),
        ("DER", "certutil -encode" if sys.platform == "win32" else "openssl x509 -inform der -in "),
        ("expired", "holds only certificates that have expired"),
        ("quoted", "has quotes or blanks around its name"),
        ("tilde", "begins with a ~"),
    ],
)
def test_a_certificate_file_is_looked_at_before_the_address(
    name: str, kind: str, phrase: str, certificate: Path, codex_home: Path, tmp_path: Path
) -> None:
    """What is wrong with it, its variable, and what mends it."""
    path, good = tmp_path / "ca.pem", certificate.read_text()
    contents = {"empty": "", "text": "no certificate", "damaged": good[:300] + good[-30:]}
    if kind == "DER":
        path.write_bytes(ssl.PEM_cert_to_DER_cert(good))
    elif kind == "expired":
        path = make_certificate(tmp_path, "old", days=-1)[0]
    elif kind != "missing":
        path.write_text(contents.get(kind, good))
    value = {"quoted": f'"{path}"', "tilde": "~/ca.pem"}.get(kind, str(path))
    said = _before_the_address(codex_home, **{name: value})
    assert f"{value} (from {name})" in said
    assert phrase in said


PASSWORD = "s3cr3t"
NO_PROXIES = [
    *('"http://127.0.0.1:3128"', "'127.0.0.1:3128'", "http://127.0.0.1:99999", "http://:3128"),
    *("http://[::1:3128", "ftp://127.0.0.1:3128", "http://a b:3128", "http://127.0.0.1:http"),
    *(f"http://ada:{PASSWORD}@x@127.0.0.1:1", f"http://ada:{PASSWORD}/x@127.0.0.1:1"),
    *(f"http://ada:{PASSWORD}?x@127.0.0.1:1", f"http://ada:{PASSWORD}#x@127.0.0.1:1"),
    *("http://127.0.0.1:3128/path", "127.0.0.1:3128:1", "http//127.0.0.1"),
]


PROXIES = ["HTTPS_PROXY", "ALL_PROXY", *(["https_proxy"] if sys.platform != "win32" else [])]


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("value", NO_PROXIES)
def test_what_is_no_proxy_is_refused_before_the_address(
    name: str, value: str, codex_home: Path
) -> None:
    """By the name of its variable; the value may hold a password, and is not shown."""
    said = _before_the_address(codex_home, **{name: value})
    assert f"{name} is not the address of a proxy" in said
    assert PASSWORD not in said
    assert "127.0.0.1" not in said


@pytest.mark.parametrize(
    ("value", "url", "shown"),
    [
        ("127.0.0.1:3128", "http://127.0.0.1:3128", "127.0.0.1:3128"),
        (" http://proxy:3128/ \r\n", "http://proxy:3128", "proxy:3128"),
        ("HTTPS://proxy", "https://proxy", "proxy"),
        ("socks://127.0.0.1:7891/", "socks5h://127.0.0.1:7891", "127.0.0.1:7891"),
        ("socks5://[::1]:1", "socks5://[::1]:1", "[::1]:1"),
        ("http://ada:s%40cret@proxy:1", "http://ada:s%40cret@proxy:1", "proxy:1"),
    ],
)
def test_what_is_a_proxy(value: str, url: str, shown: str) -> None:
    """In all the forms that desktops and people write; user name and password are never shown."""
    proxy = proxy_of(CODEX, {"HTTPS_PROXY": value, "NO_PROXY": "example.com"})
    assert proxy is not None
    assert (proxy.url, proxy.shown) == (url, f"{shown} (HTTPS_PROXY)")


@pytest.mark.parametrize(
    ("excepted", "is_excepted"),
    [
        ("*", True),
        ("openai.com", True),
        (".openai.com", True),
        ("*.openai.com", True),
        ("x, AUTH.openai.com:443", True),
        ("penai.com", False),
        ("auth.openai.com.evil", False),
        ("", False),
    ],
)
def test_what_is_excepted(excepted: str, is_excepted: bool) -> None:
    """A host, or a domain that it is in."""
    environ = {"HTTPS_PROXY": "no proxy", "NO_PROXY": excepted}
    with nullcontext() if is_excepted else pytest.raises(IssuerTrouble):
        assert proxy_of(CODEX, environ) is None


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


@pytest.mark.parametrize(
    ("proxy", "phrase"),
    [
        ("http://127.0.0.1:{refusing}", "it wants a password"),
        ("http://ada:s3cr3t@127.0.0.1:{refusing}", "it does not take that password"),
        ("http://127.0.0.1:{forbidding}", "it refuses (HTTP 403)"),
        ("https://127.0.0.1:{refusing}", "it does not speak TLS"),
        ("http://127.0.0.1:9", "nobody listens there"),
        ("http://proxy.invalid:1", "its name cannot be resolved"),
        ("socks5://127.0.0.1:9", "nobody listens there"),
        ("socks://127.0.0.1:{refusing}", "it refuses"),
    ],
)
def test_each_fault_of_a_proxy_is_told_apart(
    proxy: str, phrase: str, secure_sign_in: SignIn, certificate: Path
) -> None:
    """With its variable; user name and password stay out of it."""
    with connect_proxy("407 No") as (refusing, _), connect_proxy("403 No") as (forbidding, _):
        address = proxy.format(refusing=refusing, forbidding=forbidding)
        outcome = secure_sign_in(HTTPS_PROXY=address, CODEX_CA_CERTIFICATE=certificate)
    assert outcome.exit_code == 4
    shown = address.rpartition("@")[2].rpartition("/")[2]
    assert f"through the proxy {shown} (HTTPS_PROXY): {phrase}" in outcome.err
    assert PASSWORD not in outcome.err
    assert "defect" not in outcome.err


def test_an_address_where_nobody_listens_is_named() -> None:
    """In English, which it is known by, whatever the system speaks."""
    with pytest.raises(OSError, match=r"Connection refused \(tried 127\.0\.0\.1\)") as caught:
        connect("127.0.0.1", free_port(), 5)
    assert caught.value.errno == errno.ECONNREFUSED


@pytest.mark.parametrize("scheme", ["socks", "socks5h"])
@pytest.mark.parametrize(
    ("demanded", "given", "expected"),
    [("", "", 0), (PASSWORD, f"ada:{PASSWORD}@", 0), (PASSWORD, "ada:x@", 4), (PASSWORD, "", 4)],
)
def test_a_socks_proxy_is_used(
    scheme: str,
    demanded: str,
    given: str,
    expected: int,
    secure_sign_in: SignIn,
    certificate: Path,
) -> None:
    """By the name that desktops write, too; it resolves the issuer's name itself."""
    with socks_proxy(demanded) as (port, asked):
        address = f"{scheme}://{given}127.0.0.1:{port}"
        outcome = secure_sign_in(ALL_PROXY=address, CODEX_CA_CERTIFICATE=certificate)
    assert outcome.exit_code == expected, outcome.err
    assert PASSWORD not in outcome.err
    if expected == 0:
        assert set(asked) == {"localhost"}
    else:
        told = "it does not take that password" if given else "it wants a password"
        assert told in outcome.err


@pytest.mark.skipif(sys.platform == "win32", reason="a thread reads there; none is refused")
def test_without_threads_it_goes_on(sign_in: SignIn) -> None:
    """`ulimit -u` is reached: nothing is loaded beside, nothing is bounded but by sockets."""
    script = (
        "import sys, threading\n"
        'def refuse(self): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = refuse\n"
        "from headless_login.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    outcome = sign_in(command=(sys.executable, "-c", script, "login", "--paste-redirect"))
    assert outcome.exit_code == 0, outcome.err


def test_loopback_never_meets_a_proxy(sign_in: SignIn) -> None:
    """An issuer on this machine is asked directly, whatever the environment says."""
    with connect_proxy("407 No") as (proxy, asked):
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


@pytest.mark.parametrize(
    ("ahead", "expected", "told"),
    [(0, 0, False), (250, 0, False), (-250, 0, False), (7200, 3, True), (-7200, 3, True)],
)
@pytest.mark.parametrize("way", ["paste", "device"])
def test_clocks_that_differ(
    ahead: float, expected: int, told: bool, way: str, codex_home: Path
) -> None:
    """Five minutes are tolerated; beyond, both times stand on the screen, where it can be seen
    before the person signs in."""
    with PracticeIssuer(now=lambda: time.time() + ahead) as issuer:
        environ = environment(codex_home, issuer.issuer)
        if way == "paste":
            begun = run("login", "start", environ=environ)
            answer = approve(begun.out.splitlines()[0])
            outcome = run("login", "finish", "-", environ=environ, stdin=answer)
            assert outcome.exit_code == expected, outcome.err
            assert (clock_setting() in " ".join(outcome.err.split())) is told
        else:
            outcome = run("login", "start", "--device-auth", environ=environ)
            assert outcome.exit_code == 0, outcome.err
    assert ("This machine's clock says 20" in outcome.err) is told
    assert (f"it is 2 hours {'behind' if ahead > 0 else 'ahead'}." in outcome.err) is told


@pytest.mark.parametrize("command", [("login",), ("login", "start"), ("login", "--paste-redirect")])
def test_a_port_that_openai_would_refuse(command: tuple[str, ...], codex_home: Path) -> None:
    """Only two are registered for Codex's client; another server may have others."""
    environ = environment(codex_home, None)
    outcome = run(*command, "--port", "8080", environ=environ)
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert "port 1455 or 1457 only, not to 8080" in outcome.err
    elsewhere = ("--issuer", "http://127.0.0.1:9")
    assert run("login", "start", "--port", "8080", *elsewhere, environ=environ).exit_code == 0
    assert run("login", "start", "--port", "1457", environ=environ).exit_code == 0
