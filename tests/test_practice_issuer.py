"""The practice issuer holds what an authorization server promises, over real sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from headless_login.practice.issuer import Answer, Person, PracticeIssuer
from headless_login.practice.person import approve
from headless_login.practice.tokens import at_hash
from tests.support.program import at_once

# RFC 7636 appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
REDIRECT_URI = "http://127.0.0.1:1455/auth/callback"
CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
SCOPE = "openid profile email offline_access"
AUTH = "https://api.openai.com/auth"
INJECTION = "'><script>alert(1)</script><img src=x onerror=alert(1)>\""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
REQUEST = {
    "response_type": "code",
    "client_id": CLIENT_ID,
    "redirect_uri": REDIRECT_URI,
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "state": "a state",
    "scope": SCOPE,
}
# What, with a code, exchanges it.
EXCHANGE = {
    "grant_type": "authorization_code",
    "client_id": CLIENT_ID,
    "redirect_uri": REDIRECT_URI,
    "code_verifier": VERIFIER,
}
REFRESH = {"grant_type": "refresh_token", "client_id": CLIENT_ID}


class Client:
    """A client and its browser, which follow no redirects; only they move the issuer's clock."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        self.issuer = PracticeIssuer(now=lambda: self.time)

    def ask(self, method: str, path: str, **sent: Any) -> requests.Response:
        url = f"{self.issuer.issuer}{path}"
        return requests.request(method, url, allow_redirects=False, timeout=10, **sent)

    def token(self, **sent: Any) -> requests.Response:
        return self.ask("POST", "/oauth/token", **sent)

    def authorize(self, **changes: str) -> requests.Response:
        return self.ask("GET", "/oauth/authorize", params=REQUEST | changes)

    def decide(self, decision: str = "approve", **changes: str) -> dict[str, str]:
        url = f"{self.issuer.issuer}/oauth/authorize?{urlencode(REQUEST | changes)}"
        return dict(parse_qsl(urlsplit(approve(url, decision=decision)).query))

    def exchange(self, code: str, /, **changes: str) -> requests.Response:
        return self.token(data=EXCHANGE | {"code": code} | changes)

    def sign_in(self) -> dict[str, Any]:
        answer = self.exchange(self.decide()["code"])
        assert answer.status_code == 200
        return dict(answer.json())

    def refresh(self, refresh_token: str) -> requests.Response:
        return self.token(json=REFRESH | {"refresh_token": refresh_token})

    def verify(self, token: str) -> jwt.Token:
        """Return what a token says; raises what joserfc raises for one that does not hold."""
        published = KeySet.import_key_set(self.ask("GET", "/.well-known/jwks.json").json())
        return jwt.decode(token, published, algorithms=["RS256"])


def _refusal(answer: requests.Response) -> tuple[int, str]:
    """Return its status and error word, from flat JSON or as OpenAI's APIs nest it."""
    error = answer.json()["error"]
    return answer.status_code, error if isinstance(error, str) else error["code"]


def _assert_no_redirect(page: requests.Response) -> None:
    """Fail unless it is a page that refuses, without a form."""
    assert page.status_code == 400
    assert "Location" not in page.headers
    assert page.headers["Content-Type"].startswith("text/html")
    assert "form" not in Tags(page.text).seen


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    with client.issuer:
        yield client


class Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(name for name, _ in attrs)}


def test_the_whole_road_ends_in_tokens_that_say_who_signed_in(client: Client) -> None:
    """Code, scope and state come back; the JWKS verifies both JWTs; each claim is agreed on."""
    answer = client.decide()
    assert (answer["scope"], answer["state"]) == (SCOPE, "a state")
    assert answer["code"].startswith("ac_")
    assert len(answer["code"]) == 90
    response = client.exchange(answer["code"])
    assert response.headers["Cache-Control"] == "no-store"
    tokens = response.json()
    assert tokens | {"token_type": "Bearer", "expires_in": 864000, "scope": SCOPE} == tokens
    assert "refresh_token" in tokens
    id_token, access = client.verify(tokens["id_token"]), client.verify(tokens["access_token"])
    assert id_token.header["kid"]
    person, now = Person(), int(client.time)
    account = {
        "chatgpt_account_id": person.account_id,
        "chatgpt_plan_type": "plus",
        "chatgpt_user_id": person.user_id,
    }
    assert id_token.claims == {
        "iss": client.issuer.issuer,
        "aud": [CLIENT_ID],
        "sub": person.user_id,
        "iat": now,
        "exp": now + 3600,
        "auth_time": now,
        "email": "ada@example.com",
        "at_hash": at_hash(tokens["access_token"]),
        AUTH: account,
    }
    assert (access.claims["exp"], access.claims[AUTH]) == (now + 864000, account)


def test_at_hash_is_the_one_of_the_specification() -> None:
    """OpenID Connect Core, appendix A.3: a published access token has its published hash."""
    assert at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y") == "77QmUPtjPfzWtF2AnpK9RQ"


BINDINGS = {"client_id": "app_of_somebody_else", "code": "ac_unknown", "grant_type": "password"}
BINDINGS |= {"redirect_uri": f"{REDIRECT_URI}/", "code_verifier": CHALLENGE}
REFUSALS = {"client_id": (401, "invalid_client"), "grant_type": (400, "unsupported_grant_type")}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *BINDINGS.items(),
        *((name, "") for name in BINDINGS),
        ("code_verifier", "A" * 43),
        ("code_verifier", "short"),
        ("redirect_uri", "http://localhost:1455/auth/callback"),
    ],
)
def test_a_code_is_bound(client: Client, name: str, value: str) -> None:
    """Client, redirect URI and verifier must all fit; a failed try does not use the code up."""
    code = client.decide()["code"]
    refused = client.exchange(code, **{name: value})
    fault = REFUSALS.get(name, (400, "invalid_grant")) if value else (400, "invalid_request")
    assert _refusal(refused) == fault
    assert refused.json()["error_description"].isascii()
    assert client.exchange(code).status_code == 200


def test_a_code_used_twice_takes_back_what_it_gave(client: Client) -> None:
    """RFC 6749 §4.1.2: the second use is refused, and the first one's refresh token revoked."""
    code = client.decide()["code"]
    tokens = client.exchange(code).json()
    assert _refusal(client.exchange(code)) == (400, "invalid_grant")
    refused = client.refresh(tokens["refresh_token"])
    assert _refusal(refused) == (401, "refresh_token_invalidated")


def test_a_code_lives_ten_minutes(client: Client) -> None:
    in_time, too_late = client.decide()["code"], client.decide()["code"]
    client.time += 600
    assert client.exchange(in_time).status_code == 200
    client.time += 1
    assert _refusal(client.exchange(too_late)) == (400, "invalid_grant")


def test_a_code_has_one_winner(client: Client) -> None:
    code = client.decide()["code"]
    statuses = at_once(16, lambda: client.exchange(code).status_code)
    assert sorted(statuses) == [200] + [400] * 15


def test_a_code_is_exchanged_by_a_form_only(client: Client) -> None:
    """RFC 6749 §4.1.3: neither JSON nor a body of no kind is taken."""
    form = EXCHANGE | {"code": client.decide()["code"]}
    for answer in (client.token(json=form), client.token(data=json.dumps(form))):
        assert _refusal(answer) == (400, "invalid_request")
    assert client.token(data=form).status_code == 200


def test_refresh_tokens_rotate_and_are_used_once(client: Client) -> None:
    """The copy that comes second is refused in OpenAI's nested form; the first one lives on."""
    first = client.sign_in()
    client.time += 60
    second = client.refresh(first["refresh_token"]).json()
    assert first["refresh_token"] != second["refresh_token"]
    claims = client.verify(second["id_token"]).claims
    assert claims["iat"] - claims["auth_time"] == 60
    assert _refusal(client.refresh(first["refresh_token"])) == (401, "refresh_token_reused")
    form = REFRESH | {"refresh_token": second["refresh_token"]}
    assert client.token(data=form).status_code == 200


def test_a_revoked_token_refreshes_nothing(client: Client) -> None:
    """Revocation answers 200, is recorded, and ends the whole sign-in; unknown tokens too."""
    token = client.sign_in()["refresh_token"]
    for revoked in ("rt_unknown", token):
        body = {"token": revoked, "client_id": CLIENT_ID}
        assert client.ask("POST", "/oauth/revoke", json=body).status_code == 200
        assert client.issuer.requests[-1].form()["token"] == revoked
    assert _refusal(client.refresh(token)) == (401, "refresh_token_invalidated")


def test_deny_comes_back_as_an_error(client: Client) -> None:
    """RFC 6749 §4.1.2.1: error and description with the state, and no code."""
    answer = client.decide("deny")
    assert (answer["error"], answer["state"]) == ("access_denied", "a state")
    assert answer["error_description"]
    assert "code" not in answer


def test_only_allowed_workspaces_are_approved(client: Client) -> None:
    """With allowed_workspace_id the account must be one of them, else access is denied."""
    mine = Person().account_id
    assert "code" in client.decide(allowed_workspace_id=f"other,{mine}")
    assert client.decide(allowed_workspace_id="other,another")["error"] == "access_denied"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", [1455, 1457])
def test_the_page_may_redirect_where_its_answer_goes(client: Client, host: str, port: int) -> None:
    """All registered redirect URIs are taken, and form-action lets the browser go there."""
    page = client.authorize(redirect_uri=f"http://{host}:{port}/auth/callback")
    assert page.status_code == 200
    target = "http:" if host == "[::1]" else f"http://{host}:{port}"
    assert f"form-action 'self' {target};" in page.headers["Content-Security-Policy"]


FOREIGN = (
    *(f"{REDIRECT_URI}?x=1", f"{REDIRECT_URI}/../elsewhere", f"{REDIRECT_URI}\r\nSet-Cookie: a=b"),
    *("https://127.0.0.1:1455/auth/callback", "http://127.0.0.1:1456/auth/callback"),
    "http://evil.example:1455/auth/callback",
    "http://localhost:1455@evil.example/auth/callback",
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "") for name in REQUEST),
        *(("redirect_uri", value) for value in FOREIGN),
        *(("client_id", "app_of_somebody_else"), ("response_type", "token")),
        *(("code_challenge", "too-short"), ("code_challenge_method", "plain")),
        *(("scope", "profile"), ("scope", 'openid "')),
    ],
)
def test_bad_requests_never_redirect(client: Client, name: str, value: str) -> None:
    """RFC 6749 §4.1.2.1: an unacceptable request ends on a page without a form."""
    _assert_no_redirect(client.authorize(**{name: value}))


@pytest.mark.parametrize("query", ["state=another", "scope=%ff", "&".join(["a=1"] * 65)])
def test_doubled_and_broken_queries_never_redirect(client: Client, query: str) -> None:
    """RFC 6749 §3.1: nothing may be included twice, and all must be decodable."""
    page = client.ask("GET", f"/oauth/authorize?{urlencode(REQUEST)}&{query}")
    _assert_no_redirect(page)


ECHOED = ["client_id", "redirect_uri", "response_type", "code_challenge", "code_challenge_method"]


@pytest.mark.parametrize("name", [*ECHOED, "scope", "state", "originator", "allowed_workspace_id"])
def test_nothing_echoed_becomes_markup(client: Client, name: str) -> None:
    """Whatever a parameter says, the page has no tag, attribute or script of its making."""
    injected = INJECTION if name != "scope" else "openid '><script>alert(1)</script><img/src=x>"
    page = client.authorize(**{name: injected})
    assert not {"script", "img", "onerror", "src"} & Tags(page.text).seen
    assert ("&lt;script&gt;" in page.text) is (name != "state")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script" not in policy


def test_hostile_state_comes_back_as_it_was(client: Client) -> None:
    """A state with line breaks and markup is encoded, so that it cannot become a header."""
    state = f"a\r\nSet-Cookie: b=c\r\n\r\n{INJECTION}&code=x#y é"
    assert client.decide(state=state)["state"] == state


@pytest.mark.parametrize("form", ["decision=approve", "decision=approve&ticket=made-up", "x=%ff"])
def test_only_the_page_can_approve(client: Client, form: str) -> None:
    """Without the ticket that a page carried there is no redirect."""
    page = client.ask("POST", "/oauth/authorize", data=form, headers=FORM)
    assert page.status_code == 400
    assert "Location" not in page.headers


def test_a_ticket_is_used_once(client: Client) -> None:
    """The second press of a button leads nowhere; an unknown decision is no press."""
    ticket = client.authorize().text.partition('name="ticket" value="')[2].partition('"')[0]
    for decision, status in ((INJECTION, 400), ("approve", 303), ("approve", 400)):
        pressed = {"ticket": ticket, "decision": decision}
        assert client.ask("POST", "/oauth/authorize", data=pressed).status_code == status


def test_a_page_says_that_it_is_practice(client: Client) -> None:
    """Good or bad, every page says what it is, and loads nothing from elsewhere."""
    for page in (client.authorize(), client.authorize(state="")):
        assert "This is a practice issuer." in page.text
        assert "no real account" in page.text
        assert "http://www" not in page.text
        assert "https:" not in page.text


def test_keys_rotate(client: Client) -> None:
    """A new key signs; old tokens verify until the old key retires."""
    old = client.sign_in()["id_token"]
    client.issuer.keys.rotate()
    assert client.verify(old)
    client.issuer.keys.rotate(retire_old=True)
    assert client.verify(client.sign_in()["id_token"])
    with pytest.raises((JoseError, ValueError)):
        client.verify(old)


def test_no_private_key_is_published(client: Client) -> None:
    """The JWKS has public members only (RFC 7518 §6.3.2)."""
    [key] = client.ask("GET", "/.well-known/jwks.json").json()["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}


def test_discovery_names_what_is_there(client: Client) -> None:
    """OpenID Connect Discovery §3: the issuer is itself, and its endpoints exist."""
    found = client.ask("GET", "/.well-known/openid-configuration").json()
    assert found["issuer"] == client.issuer.issuer
    for name in ("authorization_endpoint", "token_endpoint", "revocation_endpoint", "jwks_uri"):
        assert client.ask("GET", urlsplit(found[name]).path).status_code != 404


@pytest.mark.parametrize(
    ("status", "requests"),
    [
        (200, "HEAD /.well-known/jwks.json"),
        (404, "GET /|POST /oauth/nothing"),
        (405, "GET /oauth/token|PUT /oauth/token|DELETE /oauth/authorize|GET /oauth/revoke"),
        (405, "POST /.well-known/jwks.json"),
        (501, "BREW /oauth/token"),
    ],
)
def test_other_paths_and_methods(client: Client, status: int, requests: str) -> None:
    """Nothing but the endpoints answers, and no answer may be kept by a cache."""
    for line in requests.split("|"):
        response = client.ask(*line.split())
        told = response.status_code, response.headers["Cache-Control"]
        assert told == (status, "no-store"), line


def test_bodies_end_at_64_kib(client: Client) -> None:
    """A longer body is refused unread, and the refusal still arrives."""
    for size, status in ((65536, 400), (65537, 413), (1_000_000, 413)):
        for kind in (FORM, JSON):
            assert client.token(data=b"x" * size, headers=kind).status_code == status


DOUBLED = json.dumps(REFRESH | {"refresh_token": "x"}).replace("}", ', "refresh_token": "x"}')


@pytest.mark.parametrize(
    "body",
    [
        *(f"{urlencode(EXCHANGE)}&code=x&code=x", DOUBLED),
        *("[" * 60000, "{" * 60000, "[]", b"\xff"),
    ],
)
def test_unreadable_token_requests(client: Client, body: str | bytes) -> None:
    """What is doubled, broken or of another shape is an invalid_request (RFC 6749 §5.2)."""
    for kind in (FORM, JSON):
        answer = client.token(data=body, headers=kind)
        assert _refusal(answer) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("GET ftp://[ HTTP/1.1\r\nHost: x", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked", 411),
        ("POST / HTTP/1.1\r\nContent-Length: -1", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999", 413),
    ],
)
def test_what_cannot_be_read_is_refused(client: Client, sent: str, status: int) -> None:
    """Only one plain Content-Length says how long a body is."""
    port = urlsplit(client.issuer.issuer).port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"{sent}\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).startswith(f"HTTP/1.1 {status} ".encode())


def test_requests_are_recorded_without_showing_secrets(client: Client) -> None:
    """Everything that came in can be read by a test, and nothing secret is in its repr."""
    client.exchange("ac_marked-secret")
    [recorded] = client.issuer.requests
    assert (recorded.method, recorded.path) == ("POST", "/oauth/token")
    assert recorded.form()["code"] == "ac_marked-secret"
    assert recorded.headers["content-type"] == FORM["Content-Type"]
    assert "marked-secret" not in repr(recorded)
    assert "marked-secret" not in repr(Answer(200, b"marked-secret"))


def test_the_issuer_stops_at_once_and_for_good() -> None:
    """Idle connections and hanging answers do not hold it, and then nobody listens."""

    class Hanging(PracticeIssuer):
        def jwks_answer(self) -> Answer:
            self.stopped.wait()
            return Answer(200)

    with Hanging() as issuer:
        address = ("127.0.0.1", urlsplit(issuer.issuer).port)
        idle = socket.create_connection(address)
        hanging = socket.create_connection(address)
        hanging.sendall(b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n")
        assert requests.get(issuer.issuer, timeout=10).status_code == 404
    assert issuer.stopped.is_set()
    with idle, hanging:
        assert idle.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


def test_the_person_only_visits_loopback(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    """Other hosts are refused before anything is sent, and proxies are not asked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for url in ("https://auth.openai.com/oauth/authorize", "http://127.0.0.1.evil.example/"):
        with pytest.raises(ValueError, match="loopback"):
            approve(url)
    with pytest.raises(RuntimeError, match="400"):
        client.decide(state="")
    assert client.decide()["code"]
