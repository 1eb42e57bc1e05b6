"""What is never taken, what of two faults is named, and what a refusal may say."""

from __future__ import annotations

import itertools
import re
import traceback

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headless_login.errors import RejectedAnswer, SignInRefused
from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest
from tests.support.pastes import (
    BASE,
    CODE,
    COMMANDS,
    QUERY,
    REJECTED,
    REQUEST,
    STATE,
    SURROUNDINGS,
    URL,
)

OTHER = "ac_" + "oTh3r" * 8
FOREIGN_STATE = AuthorizationRequest(CODEX).state


def _refusal_of(text: str) -> SignInRefused:
    with pytest.raises(SignInRefused) as caught:
        REQUEST.accept(text)
    return caught.value


REFUSED = {
    "no reason": ("error=access_denied", "denied: no reason was given."),
    "a reason": ("error=access_denied&error_description=You+said+No.", "denied: You said No."),
    "an error that is no word": ("error=a%0Ab", "was denied"),
    "a token": (f"error=access_denied&error_description={'x' * 50}", "denied: …."),
    "escapes": ("error=access_denied&error_description=%1B%5B2Jhi%0Aho", "denied: [2Jhi ho."),
    "another error": ("error=server_error", "refused (server_error)"),
    "no entitlement": (
        "error=access_denied&error_description=missing_codex_entitlement",
        "does not allow you to use Codex",
    ),
}
WORDS = {"another error": "server_error", "no entitlement": "missing_codex_entitlement"}


@pytest.mark.parametrize("case", REFUSED)
def test_a_true_refusal_ends_the_sign_in(case: str) -> None:
    """With this sign-in's state it is the issuer's or the person's own No, told in clean text."""
    query, phrase = REFUSED[case]
    refusal = _refusal_of(f"{BASE}{query}&state={STATE}")
    assert not isinstance(refusal, RejectedAnswer)
    assert refusal.error == WORDS.get(case, "access_denied")
    assert phrase in refusal.message


# The order of cli.md: form (duplicates and contradictions belong here), state, iss, error, code.
# Each fault: what it changes in a good answer, and the word that names it.
Fault = tuple[dict[str, str | None], str]
TWICE = [f"&code={OTHER}&code={OTHER}", "&state=a&state=b", "&iss=a&iss=b", "&error=a&error=b"]
TWICE += ["&%63ode=x&c%6Fde=y", "&x=y;code=x;code=y", "#code=x&code=y"]
ELSEWHERE = ["evil.example:1455/auth/callback", "127.0.0.1:1457/auth/callback"]
ELSEWHERE += ["127.0.0.1:1455/auth/callback/", "a@127.0.0.1:1455/auth/callback"]
FORM: dict[str, Fault] = {
    **{more: ({"more": more}, "duplicate_parameter") for more in TWICE},
    **{place: ({"base": f"http://{place}?"}, "not_a_redirect") for place in ELSEWHERE},
    "code and error": ({"more": "&error=x", "code": CODE, "error": None}, "ambiguous_response"),
    "broken escapes": ({"more": "&x=%FF"}, "not_a_redirect"),
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


def _failed(error: str, description: str = "") -> str:
    return _answer({"code": None, "error": error, "error_description": description or None})


def test_without_a_fault_it_is_taken() -> None:
    """The answer that the faults below are put into is a good one."""
    assert REQUEST.accept(_answer()).code == CODE
    assert REQUEST.accept(_answer({"iss": CODEX.issuer})).code == CODE


@pytest.mark.parametrize(("earlier", "later"), PAIRS)
def test_of_two_faults_the_earlier_is_named(earlier: Fault, later: Fault) -> None:
    """Only a true refusal, with nothing before it, ends the sign-in: a forged one never does."""
    refusal = _refusal_of(_answer(later[0], earlier[0]))
    assert refusal.error == earlier[1]
    assert isinstance(refusal, RejectedAnswer) is (earlier not in ERRORS.values())
    assert _refusal_of(_answer(later[0])).error == later[1]


# With the right code and the right state in each of them: still not this sign-in's answer.
HOSTS = {
    "another host": "evil.example:1455 evil.example.localhost:1455 :1455",
    "a longer host": "127.0.0.1.evil.example:1455 localhost.evil.example:1455 localhost.:1455",
    "a longer port": "localhost:1455.evil.example 127.0.0.1:1455:80 127.0.0.1:14550",
    "another port": "127.0.0.1:1457 127.0.0.1 127.0.0.1:١٤٥٥ 127.0.0.1:-1455 127.0.0.1:66991",
    "user-info": "ada@127.0.0.1:1455 a:b@127.0.0.1:1455 @127.0.0.1:1455",
    "user-info like us": "localhost:1455@evil.example localhost:1455@evil.example:1455 "
    "127.0.0.1:1455@evil.example 127.0.0.1:1455%2F@evil.example",
    "a backslash": "evil.example\\@127.0.0.1:1455 127.0.0.1:1455\\@evil.example "
    "127.0.0.1:1455\\.evil.example",
    # Escaped; dotless, fifty and wide for an l or an i; a Cyrillic a.
    "other letters": "%6cocalhost:1455 localho\u017ft:1455 \u217cocalhost:1455 "
    "\uff4cocalhost:1455 loc\u0430lhost:1455",
    # A one-dot leader and an ideographic full stop; a fraction and a division slash; a wide colon.
    "other marks": "127\u20240\u20240\u20241:1455 127\u30020\u30020\u30021:1455 "
    "127.0.0.1:1455\u2044.evil.example evil.example\u2215127.0.0.1:1455 127.0.0.1\uff1a1455",
    "other digits": "１２７.0.0.1:1455 127.0.0.\u00b9:1455 0x7f.0.0.1:1455 0177.0.0.1:1455 "
    "2130706433:1455 127.1:1455",
    "another address of us": "127.0.0.2:1455 0.0.0.0:1455 [::]:1455 [127.0.0.1]:1455",
    "another IPv6": "[0:0:0:0:0:0:0:1]:1455 [0::1]:1455 [::1%25lo]:1455 ::1:1455 "
    "[::ffff:127.0.0.1]:1455 [2001:db8::1]:1455",
}
PLACES = {
    "wide slashes": ("//", "／／"),
    "backslashes": ("http://", "http:\\\\evil.example\\@"),
    "another scheme": ("http:", "javascript:"),
    "another path": ("/auth/callback", "/callback"),
    "a longer path": ("/auth/callback", "/auth/callback/"),
    "a path in capitals": ("/auth/callback", "/Auth/Callback"),
    "dots in the path": ("/auth/callback", "/auth/../auth/callback"),
    "an escaped path": ("/auth/callback", "/auth/%63allback"),
    "path parameters": ("/auth/callback", "/auth/callback;a=b"),
}
FOREIGN = {name: URL.replace(old, new, 1) for name, (old, new) in PLACES.items()} | {
    f"{name}: {prefix}{host!a}": f"{prefix}{host}/auth/callback?{QUERY}"
    for prefix in ("http://", "//", "", "HTTP://")
    for name, hosts in HOSTS.items()
    for host in hosts.split()
}


@pytest.mark.parametrize("case", FOREIGN)
def test_no_other_place_is_taken(case: str) -> None:
    """Only the redirect URI's own place is: by itself, in a command and in a message."""
    text = FOREIGN[case]
    assert text != URL
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
    "brackets in a Markdown link": f"[the page]({BASE}state={STATE}&code={CODE}(x))",
}


@pytest.mark.parametrize("case", NEVER)
def test_nothing_ambiguous_is_taken(case: str) -> None:
    """A code without its own state is not, nor what says two things at once or ends unclearly."""
    assert isinstance(_refusal_of(NEVER[case]), RejectedAnswer)


@pytest.mark.parametrize("mark", [*"&;?#"])
def test_no_reader_finds_a_second_code(mark: str) -> None:
    """One that another program might see is refused, from the browser as well as pasted."""
    for more in (f"code={OTHER}", f"c%6fde={OTHER}", "state=x"):
        query = f"code={CODE}{mark}{more}&state={STATE}"
        for accept in (REQUEST.accept, REQUEST.accept_query):
            with pytest.raises(RejectedAnswer) as caught:
                accept(query)
            assert caught.value.error == "duplicate_parameter"


@given(st.integers(0, len(STATE)), st.integers(0, 2), st.text("aZ09-_", max_size=2))
def test_no_other_state(position: int, lost: int, instead: str) -> None:
    """With letters lost, added or exchanged it is another one, in every form of an answer."""
    state = STATE[:position] + instead + STATE[position + lost :]
    assume(state != STATE)
    for text in (_answer({"state": state}), f"{CODE}#{state}", f"?state={state}&code={CODE}"):
        is_torn = len(state) >= 8 and (state.startswith(STATE) or STATE.startswith(state))
        assert _refusal_of(text).error == ("missing_state" if is_torn else "state_mismatch")


ECHOES = {
    **NEVER,
    **FOREIGN,
    **{f"rejected: {case}": text for case, (text, *_) in REJECTED.items()},
    **{f"fault: {name}": _answer(change) for row in STAGES for name, (change, _) in row.items()},
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
    "state in an error": _failed(STATE),
    "state in a reason": _failed("x", f"bad+state+{STATE}"),
    "code in a reason": _failed("x", f"bad+{CODE}"),
    "reason cut in a code": _failed("x", f"x{'+' * 1881}{CODE}"),
}
SENTENCE = re.compile(r"[A-Z](?:[^.!?]|[.!?](?![ ]))*[.?]")
TEXTS = (CODE, STATE, OTHER, FOREIGN_STATE)
SECRETS = {text[at : at + 8] for text in TEXTS for at in range(len(text) - 7)}


def _assert_discreet(refusal: SignInRefused, *secrets: str) -> None:
    assert (refusal.__cause__, refusal.__context__) == (None, None)
    told = "".join(traceback.format_exception(refusal))
    told += repr((refusal, refusal.args, refusal.error, refusal.message, refusal.hint))
    assert not [secret for secret in secrets if secret in told]


@pytest.mark.parametrize("case", ECHOES)
def test_a_refusal_says_two_sentences_and_no_secret(case: str) -> None:
    """It says what it is and what to do, and nothing of what was pasted, in no part of it."""
    refusal = _refusal_of(ECHOES[case])
    assert SENTENCE.fullmatch(refusal.message)
    assert SENTENCE.fullmatch(refusal.hint)
    if isinstance(refusal, RejectedAnswer):
        assert re.match("That |The answer |The authorization code |Nothing was ", refusal.message)
        assert re.match("Paste the whole|Copy the whole|Open the address|Replace all", refusal.hint)
    _assert_discreet(refusal, *SECRETS)


@given(st.sampled_from([text for text, *_ in REJECTED.values()]), st.text(max_size=20))
def test_no_refusal_repeats_what_was_pasted(text: str, more: str) -> None:
    """A paste may hold a code that still works: it is in no refusal, whatever is added to it."""
    secret = "SECRETSECRETSECRETSECRET"
    for pasted in (text + more, f"{text}{secret}", f"{URL[:-3]}{secret}", f"code={secret}"):
        try:
            REQUEST.accept(pasted)
        except SignInRefused as refused:
            _assert_discreet(refused, secret, CODE, STATE)
