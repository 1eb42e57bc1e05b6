"""What people paste: every form of the contract is taken, and everything else is named."""

from __future__ import annotations

import time

import pytest

from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest

REQUEST = AuthorizationRequest(CODEX, state="Zk3vQ9dM1xT7cB5nW0aLpg")
STATE = REQUEST.state
CODE = "ac_" + "Ab-_.~9" * 12
QUERY = f"code={CODE}&scope=openid+profile+email&state={STATE}"
URL = f"http://127.0.0.1:1455/auth/callback?{QUERY}"
ISSUER = "https%3A%2F%2Fauth.openai.com"


def _broken(every: int, by: str) -> str:
    return by.join(URL[start : start + every] for start in range(0, len(URL), every))


TAKEN = {
    "the address": URL,
    "without its scheme": URL.removeprefix("http://"),
    "without scheme and slashes left": URL.removeprefix("http:"),
    "localhost": URL.replace("127.0.0.1", "localhost"),
    "::1": URL.replace("127.0.0.1", "[::1]"),
    "in capitals": URL.replace("http://127.0.0.1", "HTTP://LOCALHOST"),
    "the path alone": URL.removeprefix("http://127.0.0.1:1455"),
    "the query with ?": f"?{QUERY}",
    "the query alone": QUERY,
    "the query with &": f"&{QUERY}",
    "code#state": f"{CODE}#{STATE}",
    "another order": f"http://127.0.0.1:1455/auth/callback?state={STATE}&code={CODE}",
    "with iss": f"{URL}&iss={ISSUER}",
    "with unknown parameters": f"{URL}&session_state=x&Code=other",
    "with a fragment": f"{URL}#_=_",
    "escaped more than needed": URL.replace("-", "%2D").replace("_", "%5F"),
    "blanks around": f"  \t{URL} \n\n",
    "no-break spaces around": f"\u00a0{URL}\u202f",
    "wrapped at 80": _broken(80, "\n"),
    "wrapped with CR LF": _broken(60, "\r\n"),
    "wrapped and indented": _broken(70, "\n    "),
    "continued as in sh": _broken(50, "\\\n"),
    "continued as in cmd": _broken(51, "^\r\n"),
    "continued as in PowerShell": _broken(52, "`\n"),
    "a blank in every word": _broken(7, " "),
    "in double quotes": f'"{URL}"',
    "in single quotes": f"'{URL}'",
    "in curly quotes": f"\u201c{URL}\u201d",
    "in backticks": f"`{URL}`",
    "in a code block": f"```\n{URL}\n```",
    "in angle brackets": f"<{URL}>",
    "as a Markdown link": f"[the page]({URL})",
    "as a Markdown link to itself": f"[{URL}]({URL})",
    "in bold": f"**{URL}**",
    "as Slack shows it": f"<{URL}|127.0.0.1:1455/auth/callback>",
    "quoted in a mail": "\n".join(f"> {line}" for line in _broken(70, "\n").split("\n")),
    "in a list": f"- {URL}",
    "with a full stop": f"{URL}.",
    "with words before": f"Here it is: {URL}",
    "with a title before": f"This site can\u2019t be reached\n{URL}",
    "in a box": "\n".join(f"│ {line} │" for line in _broken(70, "\n").split("\n")),
    "with &amp;": URL.replace("&", "&amp;"),
    "with &#38;": URL.replace("&", "&#38;"),
    "escaped for a shell": URL.replace("?", "\\?").replace("&", "\\&").replace("=", "\\="),
    "escaped as JSON": URL.replace("/", "\\/").replace("&", "\\u0026"),
    "with bracketed-paste marks": f"\x1b[200~{URL}\x1b[201~",
    "with their rests": f"[200~{URL}[201~",
    "with readline's rests": f"00~{URL}01~",
    "in colour": f"\x1b[1;34m{URL}\x1b[0m",
    "with a zero-width space": f"{URL[:40]}\u200b{URL[40:]}",
    "with a byte-order mark": f"\ufeff{URL}",
    "with a soft hyphen": f"{URL[:60]}\u00ad{URL[60:]}",
    "curl": f"curl '{URL}'",
    "curl with options": f'curl -v "{URL}" -H "X: y"',
    "curl as Chrome copies it": f"curl '{URL}' \\\n  -H 'Accept: text/html' \\\n  --compressed",
    "curl as Chrome copies it for cmd": (
        f'curl ^"{URL.replace("&", "^&")}^" ^\n  -H ^"Accept: text/html^" ^\n  --compressed'
    ),
    "as Chrome copies it for PowerShell": (
        f'Invoke-WebRequest -UseBasicParsing -Uri "{URL}" `\n-Headers @{{\n"accept"="*/*"\n}}'
    ),
    "curl behind a prompt": f"ada@host:~$ curl '{URL}'",
    "curl with another address first": f"curl --referer https://auth.openai.com/ '{URL}'",
    "wget": "wget " + URL.replace("&", "\\&"),
}


@pytest.mark.parametrize("form", TAKEN)
def test_every_form_is_taken(form: str) -> None:
    """The very code comes out, character for character."""
    grant = REQUEST.accept(TAKEN[form])
    assert grant.code == CODE
    assert grant.redirect_uri == REQUEST.redirect_uri
    assert grant.verifier == REQUEST.verifier


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("a%20b" * 7, "a b" * 7),
        ("a+b" * 8, "a b" * 8),
        ("a%2Bb" * 7, "a+b" * 7),
        ("a%2525" * 6, "a%25" * 6),
        ("%7e%26%3D%23" * 5, "~&=#" * 5),
        ("x" * 2048, "x" * 2048),
        ("x" * 20, "x" * 20),
    ],
)
def test_a_code_is_decoded_once(sent: str, code: str) -> None:
    """What the issuer encoded is what it gets back (RFC 6749 §4.1.2, form-urlencoded)."""
    answer = f"http://127.0.0.1:1455/auth/callback?code={sent}&state={STATE}"
    assert REQUEST.accept(answer).code == code


REJECTED: dict[str, tuple[str, str, str]] = {
    "nothing": ("", "not_a_redirect", "Nothing was pasted"),
    "blanks": (" \n\t ", "not_a_redirect", "Nothing was pasted"),
    "words": ("what do I paste here", "not_a_redirect", "not the address"),
    "the authorize URL": (REQUEST.url, "authorize_url_pasted", "the address to open"),
    "its query": (REQUEST.url.partition("?")[2], "authorize_url_pasted", "the address to open"),
    "another sign-in's authorize URL": (
        AuthorizationRequest(CODEX).url,
        "authorize_url_pasted",
        "the address to open",
    ),
    "a page of the issuer": ("https://auth.openai.com/log-in", "not_a_redirect", "not done yet"),
    "the issuer's error page": (
        "https://auth.openai.com/error?payload=eyJraW5kIjoiQXV0aEFwaUZhaWx1cmUiLCJlcnJvckNvZGUiOiJ1"
        "bmtub3duX2Vycm9yIiwicmVxdWVzdElkIjoiYWJjLTEyMyJ9",
        "issuer_error_page",
        "(unknown_error, request abc-123)",
    ),
    "an error page without payload": (
        "https://auth.openai.com/error",
        "issuer_error_page",
        "the issuer's error page:",
    ),
    "a code alone": (CODE, "missing_state", "a code alone"),
    "code and no state": (URL.partition("&scope")[0], "missing_state", "has no state"),
    "an empty state": (f"{URL.partition('&state')[0]}&state=", "missing_state", "has no state"),
    "another state": (URL[:-1] + "h", "state_mismatch", "another sign-in"),
    "a longer state": (URL + "x", "state_mismatch", "another sign-in"),
    "a shorter state": (URL[:-1], "state_mismatch", "another sign-in"),
    "a state in other letters": (URL.replace(STATE, STATE.swapcase()), "state_mismatch", "another"),
    "code#another state": (f"{CODE}#{STATE[::-1]}", "state_mismatch", "another sign-in"),
    "state and no code": (URL.replace("code=", "kode="), "missing_code", "no authorization code"),
    "an empty code": (URL.replace(CODE, ""), "missing_code", "no authorization code"),
    "a cut code": (URL.replace(CODE, CODE[:19]), "missing_code", "cut off"),
    "an endless code": (URL.replace(CODE, "c" * 2049), "missing_code", "cut off"),
    "a code that is not ASCII": (URL.replace(CODE, "%C3%A9" * 20), "missing_code", "damaged"),
    "two codes": (f"{URL}&code=other", "duplicate_parameter", "code more than once"),
    "two codes, one escaped": (f"{URL}&%63ode=other", "duplicate_parameter", "code more"),
    "two states": (f"{URL}&state={STATE}", "duplicate_parameter", "state more than once"),
    "two answers": (f"{URL}\n{URL}", "duplicate_parameter", "scope and state more than once"),
    "code and error": (f"{URL}&error=access_denied", "ambiguous_response", "a code and an error"),
    "a foreign iss": (f"{URL}&iss=https://evil.example", "issuer_mismatch", "another"),
    "an empty iss": (f"{URL}&iss=", "issuer_mismatch", "another authorization server"),
    "an API key": ("sk-proj-0123456789abcdefghij", "not_a_redirect", "an API key"),
    "broken escapes": (f"{URL}&x=%FF", "not_a_redirect", "cannot be decoded"),
    "a damaged code": (URL.replace(CODE, f"{CODE[:30]}|{CODE[30:]}"), "not_a_redirect", "damaged"),
    "too long": (URL + " " * 65536 + "x", "not_a_redirect", "64 KiB"),
    "too many parameters": (f"{URL}{'&a=b' * 70}", "not_a_redirect", "cannot be decoded"),
    "not an answer": ("?utm_source=x", "not_a_redirect", "not an answer to a sign-in"),
}
# Host, port, path and user-info: never anything but the redirect URI's own.
FOREIGN = {
    "another host": ("127.0.0.1", "evil.example"),
    "a longer host": ("127.0.0.1", "localhost.evil.example"),
    "a host after the port": ("127.0.0.1:1455", "localhost:1455.evil.example"),
    "user-info": ("127.0.0.1", "ada@127.0.0.1"),
    "user-info that looks like us": ("127.0.0.1:1455", "127.0.0.1:1455@evil.example"),
    "user-info with a password": ("127.0.0.1", "a:b@127.0.0.1"),
    "a trailing dot": ("127.0.0.1", "localhost."),
    "another loopback address": ("127.0.0.1", "127.0.0.2"),
    "a short form of it": ("127.0.0.1", "127.1"),
    "its number": ("127.0.0.1", "2130706433"),
    "::1 written out": ("127.0.0.1", "[0:0:0:0:0:0:0:1]"),
    "an IPv4 in IPv6": ("127.0.0.1", "[::ffff:127.0.0.1]"),
    "wide digits": ("127.0.0.1", "１２７.0.0.1"),
    "wide dots": ("127.0.0.1", "127。0。0。1"),
    "a long s": ("127.0.0.1", "localho\u017ft"),
    "wide slashes": ("//", "／／"),
    "backslashes": ("http://", "http:\\\\evil.example\\@"),
    "another port": ("1455", "1457"),
    "no port": (":1455", ""),
    "a port of other digits": ("1455", "١٤٥٥"),
    "a longer port": ("1455", "14550"),
    "https": ("http:", "https:"),
    "another scheme": ("http:", "javascript:"),
    "another path": ("/auth/callback", "/callback"),
    "a longer path": ("/auth/callback", "/auth/callback/"),
    "a path in capitals": ("/auth/callback", "/Auth/Callback"),
    "dots in the path": ("/auth/callback", "/auth/../auth/callback"),
    "an escaped path": ("/auth/callback", "/auth/%63allback"),
    "path parameters": ("/auth/callback", "/auth/callback;a=b"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_what_is_wrong_is_named(case: str) -> None:
    """The word of the contract, one sentence about what it is, and what to paste instead."""
    text, error, phrase = REJECTED[case]
    with pytest.raises(RejectedAnswer) as caught:
        REQUEST.accept(text)
    assert caught.value.error == error
    assert phrase in caught.value.message
    assert caught.value.message.endswith(".")
    assert caught.value.hint.startswith(("Paste the whole address", "Copy ", "Open "))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("case", FOREIGN)
def test_a_foreign_place_is_never_taken(case: str) -> None:
    """Even with the right code and the right state."""
    old, new = FOREIGN[case]
    assert old in URL
    for text in (URL.replace(old, new, 1), f"curl '{URL.replace(old, new, 1)}'"):
        with pytest.raises(RejectedAnswer) as caught:
            REQUEST.accept(text)
        assert caught.value.error == "not_a_redirect"


def test_only_the_port_of_this_sign_in() -> None:
    """A sign-in that bound 1457 does not take an answer for 1455, which may be another's."""
    other = AuthorizationRequest(CODEX, "http://127.0.0.1:1457/auth/callback", state=STATE)
    assert other.accept(URL.replace("1455", "1457")).redirect_uri == other.redirect_uri
    with pytest.raises(RejectedAnswer, match="another port"):
        other.accept(URL)


REFUSED = {
    "no reason": ("error=access_denied", "access_denied", "denied: no reason was given."),
    "a reason": (
        "error=access_denied&error_description=You+pressed+No.",
        "access_denied",
        "denied: You pressed No.",
    ),
    "another error": ("error=server_error", "server_error", "refused (server_error)"),
    "not entitled": (
        "error=access_denied&error_description=missing_codex_entitlement",
        "missing_codex_entitlement",
        "does not allow you to use Codex",
    ),
    "an error that is no word": ("error=a%0Ab", "access_denied", "was denied"),
    "a reason with a token in it": (
        f"error=access_denied&error_description={'x' * 50}",
        "access_denied",
        "denied: ….",
    ),
    "a reason with escapes in it": (
        "error=access_denied&error_description=%1B%5B2Jhi%0Athere",
        "access_denied",
        "denied: [2Jhi there.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_true_refusal_ends_the_sign_in(case: str) -> None:
    """With this sign-in's state it is the issuer's or the person's own No."""
    query, error, phrase = REFUSED[case]
    with pytest.raises(SignInRefused) as caught:
        REQUEST.accept(f"http://127.0.0.1:1455/auth/callback?{query}&state={STATE}")
    assert not isinstance(caught.value, RejectedAnswer)
    assert caught.value.error == error
    assert phrase in caught.value.message


# The order of judgement: form, state, iss, error, code. Of two faults the earlier one is named.
FAULTS = {
    "form": ("&scope=again", "duplicate_parameter"),
    "state": (None, "state_mismatch"),
    "iss": ("&iss=https://evil.example", "issuer_mismatch"),
    "error": ("&error=access_denied", "access_denied"),
    "code": (None, "missing_code"),
}


@pytest.mark.parametrize("second", FAULTS)
@pytest.mark.parametrize("first", FAULTS)
def test_of_two_faults_the_earlier_is_named(first: str, second: str) -> None:
    """A forged answer can neither finish nor fail a sign-in, whatever it says besides."""
    faults = {first, second}
    state = "forged" if "state" in faults else STATE
    code = "" if faults & {"code", "error"} else f"&code={CODE}"
    query = f"scope=openid&state={state}{code}"
    query += "".join(FAULTS[fault][0] or "" for fault in sorted(faults))
    earliest = next(fault for fault in FAULTS if fault in faults)
    with pytest.raises(SignInRefused) as caught:
        REQUEST.accept(f"http://127.0.0.1:1455/auth/callback?{query}")
    assert caught.value.error == FAULTS[earliest][1]
    assert isinstance(caught.value, RejectedAnswer) is (earliest != "error")


ENDLESS = {
    **{f"only {character!r}": character for character in "<[('\"\\`^|&?#=%>: \n│\u0130\u200b"},
    **{
        repr(piece): piece
        for piece in (
            "](", "&amp;", "&#1", "\x1b[", "\x1b]", "\\\n", "\\ \t", "a ", "http", " http:/", "'\"",
            "curl ", "curl '", "code=", "a\n", "$'", "//", "%2", "localhost:", "\\u00", "](<",
        )
    },
}  # fmt: skip
STARTS = ["", "curl ", 'curl "', "http://", "https://auth.openai.com/error?payload=", "[a](", "<"]


@pytest.mark.parametrize("piece", ENDLESS)
def test_no_text_takes_long(piece: str) -> None:
    """64 KiB of whatever a pattern could stumble over: a fraction of this, and no other error."""
    for start in STARTS:
        text = (start + ENDLESS[piece] * 65536)[:65536].encode()[:65536].decode(errors="ignore")
        started = time.monotonic()
        with pytest.raises(RejectedAnswer):
            REQUEST.accept(text)
        assert time.monotonic() - started < 2
