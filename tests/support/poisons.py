"""What must never be taken: other places, other states, two meanings, and damaged codes.

`FORBIDDEN` is refused at any width and in any company. In `DAMAGED` the code was hurt: refused, or
taken only where the very code can still be told.
"""

from __future__ import annotations

from tests.support.pastes import BASE, CODE, QUERY, REQUEST, STATE, URL
from tests.support.shapes_of_programs import encoded

OTHER_CODE = "ac_" + "Zq7-tB0_" * 10
HALF = len(CODE) // 2
HOSTS = [
    "evil.example:1455",
    "evil.example",
    "127.0.0.1.evil.example:1455",
    "localhost.evil.example:1455",
    "evil-localhost:1455",
    "xlocalhost:1455",
    "1127.0.0.1:1455",
    "127.0.0.1:14550",
    "127.0.0.1:1457",
    "127.0.0.1",
    "localhost:1455@evil.example",
    "127.0.0.1:1455@evil.example:1455",
    "ada@127.0.0.1:1455",
    "evil.example@localhost:1455",
    "a:b@localhost:1455",
    "127.0.0.1:1455.evil.example",
    "127.0.0.1:1455:80",
    "evil.example\\@127.0.0.1:1455",
    "evil.example∕127.0.0.1:1455",
    "[::ffff:127.0.0.1]:1455",
    "0.0.0.0:1455",
    "evil.example/127.0.0.1:1455",
    "evil.example/?127.0.0.1:1455",
    "evil.example/#127.0.0.1:1455",
    "evil.example:1455/127.0.0.1:1455",
    "code.example.com/proxy/1455",
    "127.0.0.2:1455",
    "localhoſt:1455",
    "127.0.0.1:1455/x",
    "127.0.0.1:1455/..",
]
PATHS = ["/auth/callback/", "/auth/callbacks", "/callback", "/auth/callback/x", "/", ""]
ISSUERS = [
    "https://evil.example",
    "https://auth.openai.com.evil.example",
    "https://auth.openai.com/",
]
ISSUERS += [
    "http://auth.openai.com",
    "https://auth.openai.co",
    "https://evil.example/auth.openai.com",
]
MARKS = ["&", ";", "#", "?"]
TWICE = [f"code={OTHER_CODE}", f"%63ode={OTHER_CODE}", f"c%6fde={OTHER_CODE}", "state=other"]
TWICE += [
    "error=access_denied",
    "%65rror=access_denied",
    f"code={CODE}",
    "iss=https://evil.example",
]


def _foreign() -> dict[str, str]:
    found = {
        f"{scheme}{host}": f"{scheme}{host}/auth/callback?{QUERY}"
        for scheme in ("http://", "https://", "")
        for host in HOSTS
        if scheme or "/" not in host
    }
    found |= {f"path {path}": f"http://127.0.0.1:1455{path}?{QUERY}" for path in PATHS}
    for scheme in ("javascript:", "ftp:", "data:", "chrome-extension:"):
        found[scheme] = URL.replace("http:", scheme)
    for site in (
        "https://evil.example/?to=",
        "https://evil.example/a/b?x=y&to=",
        "evil.example/?u=",
    ):
        found[f"{site}ADDRESS"] = f"{site}{URL}"
    found["ADDRESS in a path"] = f"https://evil.example/{URL}"
    found["ADDRESS in a fragment"] = f"https://evil.example/#{URL}"
    found["a foreign one, encoded"] = encoded(URL.replace("127.0.0.1", "evil.example"))
    found["a foreign one in a link"] = (
        f"https://www.google.com/url?q={found['a foreign one, encoded']}&usg=x"
    )
    return found


def _contradicting() -> dict[str, str]:
    found = {f"{mark}{more} behind": f"{URL}{mark}{more}" for mark in MARKS for more in TWICE}
    found |= {
        f"{more} before": f"{BASE}{more}&{QUERY}" for more in TWICE if not more.startswith("iss")
    }
    found |= {
        f"{mark}{more} inside": URL.replace("&scope", f"{mark}{more}&scope")
        for mark in MARKS
        for more in TWICE
    }
    for issuer in ISSUERS:
        found[f"iss {issuer}"] = f"{URL}&iss={issuer}"
        found[f"iss {issuer}, encoded"] = f"{URL}&iss={encoded(issuer)}"
        found[f"iss {issuer} first"] = URL.replace("?", f"?iss={encoded(issuer)}&", 1)
    found["two iss"] = f"{URL}&iss=https%3A%2F%2Fauth.openai.com&iss=https%3A%2F%2Fevil.example"
    found["two codes"] = f"{URL}\n{URL.replace(CODE, OTHER_CODE)}"
    found["two codes, two places"] = (
        f"{URL} {URL.replace(CODE, OTHER_CODE).replace('127.0.0.1', '[::1]')}"
    )
    found["two codes, one encoded"] = f"{URL} {encoded(URL.replace(CODE, OTHER_CODE))}"
    found["a code and a No"] = f"{URL}\n{BASE}error=access_denied&state={STATE}"
    found["code#state beside another"] = f"{CODE}#{STATE}\n{OTHER_CODE}#{STATE}"
    return found


def _of_others() -> dict[str, str]:
    others = {
        "reversed": STATE[::-1],
        "in other letters": STATE.swapcase(),
        "shorter": STATE[:-1],
        "grown": f"{STATE}x",
        "grown by _": f"{STATE}_x",
        "grown before": f"x{STATE}",
        "grown by -": f"{STATE}-0",
        "grown by %41": f"{STATE}%41",
        "one letter off": f"{STATE[:9]}{'A' if STATE[9] != 'A' else 'B'}{STATE[10:]}",
        "empty": "",
    }
    found = {f"a state {name}": URL.replace(STATE, state) for name, state in others.items()}
    found |= {f"code#state {name}": f"{CODE}#{state}" for name, state in others.items()}
    found["no state"] = URL.partition("&state")[0]
    found["the address to open"] = REQUEST.url
    found["the address to open, encoded"] = encoded(REQUEST.url)
    found["the address to open with a code"] = f"{REQUEST.url}&code={CODE}"
    found["another name for state"] = URL.replace("&state=", "&xstate=")
    found["session_state"] = URL.replace("&state=", "&session_state=")
    found["the state alone"] = f"state={STATE}"
    found["a prompt, and a foreign one"] = f"{BASE}\nhttp://evil.example/auth/callback?{QUERY}"
    found["a place, and a foreign one"] = f"{BASE}… http://evil.example:1455/x?{QUERY}"
    found["a good beginning"] = f"{BASE}code={OTHER_CODE}\nhttp://evil.example/x?{QUERY}"
    return found


FORBIDDEN = _foreign() | _contradicting() | _of_others()
DAMAGES = {
    "an ellipsis": f"{CODE[:HALF]}…{CODE[-9:]}",
    "three dots": f"{CODE[:HALF]}...{CODE[-9:]}",
    "a mask": f"{CODE[:8]}***{CODE[-5:]}",
    "a long mask": f"{CODE[:8]}{'*' * 40}{CODE[-5:]}",
    "a caret": f"{CODE[:HALF]}^{CODE[HALF:]}",
    "a backslash": f"{CODE[:HALF]}\\xCD{CODE[HALF:]}",
    "an entity": f"{CODE[:HALF]}&quot;{CODE[HALF:]}",
    "an invisible entity": f"{CODE[:HALF]}&#8203;{CODE[HALF:]}",
    "a bar": f"{CODE[:HALF]}|{CODE[HALF:]}",
    "a brace": f"{CODE[:HALF]}{{x}}{CODE[HALF:]}",
    "a tag": f"{CODE[:HALF]}<br>x<p>{CODE[HALF:]}",
    "a quote": f'{CODE[:HALF]}"{CODE[HALF:]}',
    "a letter no ASCII": f"{CODE[:HALF]}é{CODE[HALF:]}",
    "an arrow": f"{CODE[:HALF]}\n↪{CODE[HALF:]}",
    "a number of a line": f"{CODE[:HALF]}\n  2  {CODE[HALF:]}",
    "a number at its end": f"{CODE}\n  2  ",
    "a pane's words": f"{CODE[:HALF]}  make test\n{CODE[HALF:]}",
    "a pane's words at its end": f"{CODE}  make test\n",
    "a border": f"{CODE[:HALF]}│ok │{CODE[HALF:]}",
    "half an escape": f"{CODE[:HALF]}%2{CODE[HALF:]}",
    "no escape": f"{CODE[:HALF]}%zz{CODE[HALF:]}",
    "a soft line break": f"{CODE[:HALF]}=\n{CODE[HALF:]}",
    "a lost &": f"{CODE}scope=openid",
    "a torn end": CODE[:19],
    "a cut and no more": f"{CODE[:HALF]}…",
}
DAMAGED = {
    f"{name}, {order}": text.format(code)
    for name, code in DAMAGES.items()
    for order, text in {
        "first": f"{BASE}code={{}}&scope=openid&state={STATE}".replace("{{}}", "{}"),
        "in the middle": f"{BASE}scope=openid&code={{}}&state={STATE}".replace("{{}}", "{}"),
        "behind the state": f"{BASE}state={STATE}&code={{}}&scope=openid".replace("{{}}", "{}"),
        "last": f"{BASE}state={STATE}&code={{}}".replace("{{}}", "{}"),
    }.items()
} | {
    f"last, {name}": f"{BASE}state={STATE}&code={CODE}{after}"
    for name, after in {
        "words": " and nothing happened",
        "a line of words": "\nand nothing happened",
        "a word": "\nthanks",
        "a bracket": ") ok",
        "a comma": ", ok",
        "a name": "\nAda",
        "a number": "\n3",
    }.items()
}
SENTENCES = {
    "alone": "{}",
    "said": "I ended at {} and nothing happened.",
    "in quotes": '"{}"',
    "in single quotes": "curl '{}'",
    "in brackets": "the page ({}).",
    "in Markdown": "[the page]({})",
    "in angles": "<{}>",
    "in JSON": '{{"url": "{}"}}',
    "behind our prompt": BASE.removesuffix("?") + "?\n{}",
    "behind an own place": "It should go to http://127.0.0.1:1455/auth/callback\n{}",
    "behind the address to open": REQUEST.url + "\n{}",
}
