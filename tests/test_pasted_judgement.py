"""What is never taken, what of two faults is named, and what a refusal may say."""

from __future__ import annotations

import itertools
import re
import traceback

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest
from tests.support.pastes import CODE, COMMANDS, QUERY, REQUEST, STATE, SURROUNDINGS, URL

BASE = f"{REQUEST.redirect_uri}?"
OTHER = "ac_" + "oTh3r" * 8
FOREIGN_STATE = AuthorizationRequest(CODEX).state

# The order of cli.md: form (duplicates and contradictions belong here), state, iss, error, code.
# Each fault: what it changes in a good answer, and the word that names it.
Fault = tuple[dict[str, str | None], str]
FORM: dict[str, Fault] = {
    "two codes": ({"more": f"&code={OTHER}&code={OTHER}"}, "duplicate_parameter"),
    "two states": ({"more": "&state=a&state=b"}, "duplicate_parameter"),
    "two iss": ({"more": "&iss=a&iss=b"}, "duplicate_parameter"),
    "two errors": ({"more": "&error=a&error=b"}, "duplicate_parameter"),
    "two codes, escaped": ({"more": "&%63ode=x&c%6Fde=y"}, "duplicate_parameter"),
    "two codes by ;": ({"more": "&x=y;code=x;code=y"}, "duplicate_parameter"),
    "two codes in the fragment": ({"more": "#code=x&code=y"}, "duplicate_parameter"),
    "code and error": ({"more": "&error=x", "code": CODE, "error": None}, "ambiguous_response"),
    "broken escapes": ({"more": "&x=%FF"}, "not_a_redirect"),
    "another host": ({"base": "http://evil.example:1455/auth/callback?"}, "not_a_redirect"),
    "another port": ({"base": "http://127.0.0.1:1457/auth/callback?"}, "not_a_redirect"),
    "another path": ({"base": "http://127.0.0.1:1455/auth/callback/?"}, "not_a_redirect"),
    "user-info": ({"base": "http://a@127.0.0.1:1455/auth/callback?"}, "not_a_redirect"),
}
STATES: dict[str, Fault] = {
    "another state": ({"state": FOREIGN_STATE}, "state_mismatch"),
    "an empty state": ({"state": ""}, "missing_state"),
    "no state": ({"state": None}, "missing_state"),
}
ISSUERS: dict[str, Fault] = {
    "another iss": ({"iss": "https://evil.example"}, "issuer_mismatch"),
    "iss with a slash": ({"iss": "https://auth.openai.com/"}, "issuer_mismatch"),
    "an empty iss": ({"iss": ""}, "issuer_mismatch"),
}
ERRORS: dict[str, Fault] = {
    "denied": ({"error": "access_denied", "code": None}, "access_denied"),
    "failed": ({"error": "server_error", "code": None}, "server_error"),
}
CODES: dict[str, Fault] = {
    "no code": ({"code": None}, "missing_code"),
    "an empty code": ({"code": ""}, "missing_code"),
    "a short code": ({"code": CODE[:19]}, "missing_code"),
    "a long code": ({"code": "c" * 2049}, "missing_code"),
}
STAGES = [FORM, STATES, ISSUERS, ERRORS, CODES]
PAIRS = [
    pytest.param(first[one], second[two], id=f"{one} before {two}")
    for first, second in itertools.combinations(STAGES, 2)
    for one, two in itertools.product(first, second)
]


def _answer(*changes: dict[str, str | None]) -> str:
    """Return a good answer with these changes, of which later ones win."""
    parts: dict[str, str | None] = {"base": BASE, "code": CODE, "state": STATE, "more": ""}
    for change in changes:
        parts |= change
    base, more = parts.pop("base"), parts.pop("more")
    return f"{base}{'&'.join(f'{k}={v}' for k, v in parts.items() if v is not None)}{more}"


def _refusal_of(text: str) -> SignInRefused:
    with pytest.raises(SignInRefused) as caught:
        REQUEST.accept(text)
    return caught.value


def test_without_a_fault_it_is_taken() -> None:
    """The answer that the faults below are put into is a good one."""
    assert REQUEST.accept(_answer()).code == CODE
    assert REQUEST.accept(_answer({"iss": CODEX.issuer})).code == CODE


@pytest.mark.parametrize(("earlier", "later"), PAIRS)
def test_of_two_faults_the_earlier_is_named(earlier: Fault, later: Fault) -> None:
    """And only a true refusal, with nothing before it, ends the sign-in."""
    refusal = _refusal_of(_answer(later[0], earlier[0]))
    assert refusal.error == earlier[1]
    assert isinstance(refusal, RejectedAnswer) is (earlier not in ERRORS.values())
    assert _refusal_of(_answer(later[0])).error == later[1]


# With the right code and the right state in each of them: still not this sign-in's answer.
HOSTS = {
    "user-info that is us": "localhost:1455@evil.example",
    "user-info with our port": "localhost:1455@evil.example:1455",
    "escaped user-info": "127.0.0.1:1455%2F@evil.example",
    "an empty user-info": "@127.0.0.1:1455",
    "a port that goes on": "localhost:1455.evil.example",
    "a second port": "127.0.0.1:1455:80",
    "a port below zero": "127.0.0.1:-1455",
    "a port and 65536": "127.0.0.1:66991",
    "a host that goes on": "127.0.0.1.evil.example:1455",
    "a host in front": "evil.example.localhost:1455",
    "a backslash": "evil.example\\@127.0.0.1:1455",
    "a backslash behind us": "127.0.0.1:1455\\@evil.example",
    "a backslash for a slash": "127.0.0.1:1455\\.evil.example",
    "an escaped letter": "%6cocalhost:1455",
    "a dotless i and a long s": "localho\u017ft:1455",
    "a Roman fifty": "\u217cocalhost:1455",
    "a wide l": "\uff4cocalhost:1455",
    "a Cyrillic a": "loc\u0430lhost:1455",
    "a one-dot leader": "127\u20240\u20240\u20241:1455",
    "an ideographic full stop": "127\u30020\u30020\u30021:1455",
    "a fraction slash": "127.0.0.1:1455\u2044.evil.example",
    "a division slash": "evil.example\u2215127.0.0.1:1455",
    "a wide colon": "127.0.0.1\uff1a1455",
    "superscript digits": "127.0.0.\u00b9:1455",
    "hexadecimal": "0x7f.0.0.1:1455",
    "octal": "0177.0.0.1:1455",
    "every address": "0.0.0.0:1455",
    "every IPv6 address": "[::]:1455",
    "another ::1": "[0::1]:1455",
    "::1 in a zone": "[::1%25lo]:1455",
    "::1 without brackets": "::1:1455",
    "an IPv4 in brackets": "[127.0.0.1]:1455",
    "the tail of another IPv6": "[2001:db8::1]:1455",
    "no host": ":1455",
}


@pytest.mark.parametrize("case", HOSTS)
def test_no_other_host(case: str) -> None:
    """With scheme and without, by itself, in a command and in a message."""
    for prefix in ("http://", "//", "", "HTTP://"):
        text = f"{prefix}{HOSTS[case]}/auth/callback?{QUERY}"
        for pasted in (text, f"curl '{text}'", f"[{URL}]({text})", f"<{text}|{URL}>", f"> {text}"):
            assert _refusal_of(pasted).error == "not_a_redirect"


NEVER = {
    "a code by ; in a code": f"{BASE}code={CODE};code={OTHER}&state={STATE}",
    "a state by ; in a state": f"{BASE}code={CODE}&state={STATE};state=x",
    "a state by ; before ours": f"{BASE}code={CODE}&state=x;state={STATE}",
    "another code in the fragment": f"{URL}#code={OTHER}",
    "another state in the fragment": f"{URL}#x&state=x",
    "an error in the fragment": f"{URL}#error=access_denied",
    "an error by ;": f"{URL};error=access_denied",
    "another question mark": f"{BASE}code={CODE}?code={OTHER}&state={STATE}",
    "everything in the fragment": URL.replace("?", "#"),
    "the state in the fragment": f"{BASE}code={CODE}#state={STATE}",
    "two answers": f"{URL} {URL.replace(CODE, OTHER)}",
    "two answers in a box": f"│ {URL} │\n│ {URL.replace(CODE, OTHER)} │",
    "query and code#state": f"{CODE}&code={OTHER}#{STATE}",
    "an address for a code": f"evil.example/auth/callback#{STATE}",
    "our host for a code": f"localhost/auth/callback#{STATE}",
    "a mail address for a code": f"mailto:ada@evil.example.com#{STATE}",
    "words for a code": f"This is the code: {CODE}#{STATE}",
    "code#state and more": f"{CODE}#{STATE}&iss=evil",
    "code#state#state": f"{CODE}#{STATE}#{STATE}",
    "state#code": f"{STATE}#{CODE}",
    "code#": f"{CODE}#",
    "#state": f"#{STATE}",
    "names in capitals": URL.replace("code=", "CODE=").replace("state=", "STATE="),
    "a state of bytes": f"{BASE}code={CODE}&state=\udcff\udcfe",
    "code#bytes": f"{CODE}#\udcff",
    "a state and a zero": f"{URL}%00",
    "a state twice escaped": URL.replace(STATE, STATE.replace("Z", "%255A")),
    "a whole address escaped": URL.replace(":", "%3A").replace("/", "%2F").replace("?", "%3F"),
    "another site's redirect": f"https://evil.example/?to={URL}",
    "another site's redirect, broken": f"https://evil.example/?to=\n{URL}",
    "another address before": f"http://evil.example/x {URL}",
    "another host's path before": f"evil.example/x {URL}",
    "another host's query before": f"evil.example?x {URL}",
    "user-info before": f"ada@evil.example {URL}",
    "a parameter before": f"next=x {URL}",
    "https": URL.replace("http:", "https:"),
    "a page's source": f"view-source:{URL}",
}


@pytest.mark.parametrize("case", NEVER)
def test_never_taken(case: str) -> None:
    """No code without its own state, and nothing that says two things at once."""
    assert isinstance(_refusal_of(NEVER[case]), RejectedAnswer)


@pytest.mark.parametrize("mark", [*"&;?#"])
def test_no_reader_finds_a_second_code(mark: str) -> None:
    """Wherever another program might end a parameter; from the browser as well as pasted."""
    for more in (f"code={OTHER}", f"c%6fde={OTHER}", "state=x"):
        query = f"code={CODE}{mark}{more}&state={STATE}"
        for accept in (REQUEST.accept, REQUEST.accept_query):
            with pytest.raises(RejectedAnswer) as caught:
                accept(query)
            assert caught.value.error == "duplicate_parameter"


@given(st.integers(0, len(STATE)), st.integers(0, 2), st.text("aZ09-_", max_size=2))
@settings(deadline=None)
def test_no_other_state(position: int, lost: int, instead: str) -> None:
    """Letters lost, added or exchanged, in every form of an answer."""
    state = STATE[:position] + instead + STATE[position + lost :]
    assume(state != STATE)
    for text in (_answer({"state": state}), f"{CODE}#{state}", f"?state={state}&code={CODE}"):
        assert _refusal_of(text).error == "state_mismatch"


ECHOES = {
    **NEVER,
    **{host: f"http://{HOSTS[host]}/auth/callback?{QUERY}" for host in HOSTS},
    **{fault: _answer(change) for stage in STAGES for fault, (change, _) in stage.items()},
    **{where: COMMANDS[where](URL[:-1]) for where in COMMANDS},
    **{where: SURROUNDINGS[where](URL.replace(STATE, OTHER)) for where in SURROUNDINGS},
    "a key": f"sk-proj-{OTHER}",
    "a code": CODE,
    "a code after a name": f"code={CODE}",
    "Codex's own page": f"http://127.0.0.1:1455/success?id_token={OTHER}.{CODE}.{OTHER}",
    "tokens": f'{{"access_token": "{OTHER}", "refresh_token": "{CODE}"}}',
    "the issuer's error page": f"https://auth.openai.com/error?payload={OTHER}",
    "the address to open": REQUEST.url,
    "a long one": URL * 400,
    "state in an error": _answer({"code": None, "error": STATE}),
    "state in a reason": _answer(
        {"code": None, "error": "x", "error_description": f"bad+state+{STATE}"}
    ),
    "code in a reason": _answer({"code": None, "error": "x", "error_description": f"bad+{CODE}"}),
    "reason cut in a code": _answer(
        {"code": None, "error": "x", "error_description": f"x{'+' * 1881}{CODE}"}
    ),
}
SENTENCE = re.compile(r"[A-Z](?:[^.!?]|[.!?](?![ ]))*[.?]")
SECRETS = {
    text[i : i + 8] for text in (CODE, STATE, OTHER, FOREIGN_STATE) for i in range(len(text) - 7)
}


@pytest.mark.parametrize("case", ECHOES)
def test_a_refusal_says_two_sentences_and_no_secret(case: str) -> None:
    """What it is and what to do: nothing of what was pasted, in no part of the error."""
    refusal = _refusal_of(ECHOES[case])
    assert SENTENCE.fullmatch(refusal.message)
    assert SENTENCE.fullmatch(refusal.hint)
    if isinstance(refusal, RejectedAnswer):
        assert refusal.message.startswith(("That ", "The answer ", "The authorization code "))
        assert refusal.hint.startswith(("Paste the whole", "Copy the whole", "Open the address"))
    assert (refusal.__cause__, refusal.__context__) == (None, None)
    told = "".join(traceback.format_exception(refusal))
    told += repr((refusal, refusal.args, refusal.error, refusal.message, refusal.hint))
    assert not [secret for secret in SECRETS if secret in told]
