"""Answers to one sign-in in every form, what stands around them, and what is no answer."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, quote_plus

from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest

REQUEST = AuthorizationRequest(CODEX, state="Zk3vQ9dM1xT7cB5nW0aLpg")
STATE = REQUEST.state
CODE = "ac_" + "kW4-_.~9pXr2" * 7
QUERY = f"code={CODE}&scope=openid+profile+email&state={STATE}"
BASE = f"{REQUEST.redirect_uri}?"
URL = f"{BASE}{QUERY}"
Wrap = Callable[[str], str]

# The forms of the answer itself.
FORMS = {
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
    "another order": f"{BASE}state={STATE}&code={CODE}",
    "with iss": f"{URL}&iss=https%3A%2F%2Fauth.openai.com",
    "with unknown parameters": f"{URL}&session_state=x&Code=other",
    "with a fragment": f"{URL}#_=_",
    "escaped more than needed": URL.replace("-", "%2D").replace("_", "%5F"),
    "with a full stop": f"{URL}.",
    "https": URL.replace("http:", "https:"),
    "the answer twice": f"{URL}\n{URL}",
}


def replaced(*pairs: tuple[str, str]) -> Wrap:
    """Return what puts the second of each pair in the place of the first."""

    def wrap(text: str) -> str:
        for old, new in pairs:
            text = text.replace(old, new)
        return text

    return wrap


def broken(every: int, by: str, first: str = "", last: str = "") -> Wrap:
    """Return what breaks a text into pieces of so many characters."""
    return lambda text: (
        first + by.join(text[i : i + every] for i in range(0, len(text), every)) + last
    )


def around(before: str, after: str = "") -> Wrap:
    """Return what puts something before and behind a text."""
    return lambda text: f"{before}{text}{after}"


def cmd_quoted(text: str) -> str:
    """Quote as Chromium and Firefox do in `Copy as cURL (cmd)`: carets, and `%^20` for `%20`."""
    escaped = "".join(c if c.isalnum() or c in "_-:=+~'/.,?;()*` " else f"^{c}" for c in text)
    return f'^"{escaped.replace("^%", "^%^")}^"'


def old_cmd_quoted(text: str) -> str:
    """Quote as Chromium did until 2021: `"%"20` for `%20`."""
    return '"' + text.replace("%", '"%"') + '"'


def ansi_quoted(text: str) -> str:
    """Quote as Chromium does for bash if there is a `!`: $'…' with its number."""
    return "$'" + text.replace("!", "\\u0021").replace("~", "\\u007e") + "'"


# Copied commands, as the developer tools of Chromium, Firefox and Safari and as people write them.
COMMANDS: dict[str, Wrap] = {
    "Chromium, bash": around("curl '", "' \\\n  -H 'Accept: text/html;q=0.9' \\\n  --compressed"),
    "Chromium, bash, numbers": lambda url: f"curl {ansi_quoted(url)} \\\n  -H 'Accept: */*'",
    "Chromium, cmd": lambda url: f'curl {cmd_quoted(url)} ^\n  -H ^"Accept: */*^" ^\n  --insecure',
    "Chromium, cmd, CR LF": lambda url: f"curl {cmd_quoted(url)} ^\r\n  --compressed\r\n",
    "Chromium, cmd, old": lambda url: f'curl {old_cmd_quoted(url)} -H "Accept: */*" --compressed',
    "Chromium, PowerShell": around(
        "$session = New-Object Microsoft.PowerShell.Commands.WebRequestSession\n"
        '$session.UserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"\n'
        'Invoke-WebRequest -UseBasicParsing -Uri "',
        '" `\n-WebSession $session `\n-Headers @{\n"Accept"="text/html"\n}',
    ),
    "Chromium, fetch": around('fetch("', '", {\n  "headers": {},\n  "method": "GET"\n});'),
    "Firefox, POSIX": around(
        "curl '", "' \\\n  --compressed \\\n  -H 'User-Agent: Mozilla/5.0 (X11) Gecko/20100101'"
    ),
    "Firefox, Windows": lambda url: f'curl {cmd_quoted(url)} ^\n  -H ^"Upgrade: 1^"',
    "Firefox, PowerShell": around(
        'Invoke-WebRequest -UseBasicParsing -Uri "', '" `\n-UserAgent "Mozilla/5.0 (X11)"'
    ),
    "Firefox, fetch": around('await fetch("', '", {\n    "credentials": "omit"\n});'),
    "Safari": around("curl '", "' \\\n-X 'GET' \\\n-H 'Host: 127.0.0.1:1455'"),
    "curl in double quotes": around('curl -sS "', '"'),
    "curl behind options": around("curl -s -o /dev/null --max-time 5 '", "'"),
    "curl --url=": around("curl --url='", "'"),
    "curl through a proxy": around("curl -x http://127.0.0.1:3128 '", "'"),
    "curl for a shell elsewhere": around("ssh box \"curl '", "'\""),
    "curl in a container": around('docker exec -it codex curl "', '"'),
    "curl broken by a terminal": lambda url: broken(70, "\n")(f"curl '{url}'"),
    "curl broken by a terminal, indented": lambda url: broken(70, "\n    ")(f"curl '{url}'"),
    "curl behind a prompt": around("ada@host:~$ curl '", "'"),
    "curl behind a referrer": around("curl --referer https://auth.openai.com/ '", "'"),
    "wget": lambda url: "wget " + url.replace("&", "\\&"),
    "open": around("open '", "'"),
    "start": around('start "" "', '"'),
}
# What chats, mails, phones and terminals make of an address.
SURROUNDINGS: dict[str, Wrap] = {
    "WhatsApp, copied in Europe": around("[23.11.26, 10:31:22] Ada: "),
    "WhatsApp, copied in America": around("[11/23/26, 10:31 AM] Ada Lovelace: "),
    "Teams": around("[10:31] Lovelace, Ada\n"),
    "Telegram": around("Ada, [23 Nov 2026 at 10:31:12]:\n"),
    "Slack's source": lambda url: f"<{url.replace('&', '&amp;')}|{url.partition('?')[0]}>",
    "Slack, shown": around("<", "|127.0.0.1:1455/auth/callback>"),
    "Slack, a code block": around("```", "```"),
    "Discord, no preview": around("<", ">"),
    "a mail, quoted": lambda url: broken(72, "\n> ", "> ")(url),
    "a mail, quoted twice": lambda url: broken(68, "\n>> ", ">> ")(url),
    "a mail, quoted in HTML": around("&lt;", "&gt;"),
    "words before": around("Here it is: "),
    "a list": around("- "),
    "a title before": around("This site can’t be reached\n127.0.0.1 refused to connect.\n"),
    "a title that asks": around("Can't open the page? Try again\n"),
    "a title with a slash": around("127.0.0.1 / Fehler & mehr - "),
    "Safari's title": around("Safari can’t connect to the server “127.0.0.1”.\n"),
    "zsh": replaced(("?", "\\?"), ("&", "\\&"), ("=", "\\="), ("+", "\\+"), ("~", "\\~")),
    "cmd.exe": replaced(("&", "^&")),
    "sh, continued": broken(50, "\\\n"),
    "cmd.exe, continued": broken(51, "^\r\n"),
    "PowerShell, continued": broken(52, "`\n"),
    "tmux": broken(80, "\n"),
    "tmux, blanks kept": lambda url: broken(80, " " * 20 + "\n")(url),
    "screen, indented": broken(76, "\n  ", "  "),
    "a TUI's box": broken(70, " │\n│ ", "╭──╮\n│ ", " │\n╰──╯"),
    "a TUI's box of ASCII": broken(70, " |\n| ", "| ", " |"),
    "an OSC 8 link": lambda url: f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\",
    "cat -v": around("^[[200~", "^[[201~"),
    "readline's rests of the marks": around("00~", "01~"),
    "Markdown": around("[the page](", ")"),
    "Markdown, a link to itself": lambda url: f"[{url}]({url})",
    "Markdown with a title": around("[the page](", ' "Redirect")'),
    "Markdown in bold": around("**[the page](", ")**."),
    "isolates of a bidirectional text": around("\u2066", "\u2069"),
    "no-break spaces": around("\u00a0", "\u202f"),
    "soft hyphens": broken(60, "\u00ad"),
    "backticks": around("`", "`"),
    "guillemets": around("«\u00a0", "\u00a0»"),
    "brackets and a full stop": around("(", ")."),
    "a JSON string": lambda url: '"' + replaced(("/", "\\/"), ("&", "\\u0026"))(url) + '"',
}
# One of each layer, as they come about: in a message, by a program, on a screen, in a terminal.
NOTHING: dict[str, Wrap] = {"nothing": str}
QUOTES: dict[str, Wrap] = NOTHING | {
    "double quotes": around('"', '"'),
    "single quotes": around("'", "'"),
    "bold": around("**", "**"),
    "bold italics": around("***", "***"),
    "curly quotes": around("“", "”"),
    "angle brackets": around("<", ">"),
    "brackets": around("(", ")"),
    "a code block": around("```\n", "\n```"),
    "quotes and blanks": around("' ", " '"),
}
ESCAPES: dict[str, Wrap] = NOTHING | {
    "&amp;": replaced(("&", "&amp;")),
    "HTML": replaced(("&", "&#38;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")),
    "backslashes": replaced(("?", "\\?"), ("&", "\\&"), ("=", "\\=")),
}
BREAKS: dict[str, Wrap] = NOTHING | {
    "every 41": broken(41, "\n"),
    "every 79": broken(79, "\n"),
    "indented": broken(67, "\r\n  "),
    "zero-width spaces": broken(13, "\u200b"),
    "no-break spaces, every 64": broken(64, "\u00a0"),
    "blanks": broken(9, " "),
    "a quoted mail": broken(60, "\n> ", "> "),
    "a box": broken(60, " │\n│ ", "│ ", " │"),
}
TERMINALS: dict[str, Wrap] = NOTHING | {
    "blanks around": around(" \t", "\n\n"),
    "a byte-order mark": around("\ufeff"),
    "bracketed-paste marks": around("\x1b[200~", "\x1b[201~"),
    "rests of the marks": around("[200~", "[201~\n"),
    "colour": around("\x1b[1;34m", "\x1b[0m"),
}
LAYERS = (QUOTES, QUOTES, ESCAPES, BREAKS, TERMINALS)
WRAPS = COMMANDS | SURROUNDINGS | QUOTES | ESCAPES | BREAKS | TERMINALS


def form_encoded(text: str) -> str:
    """Encode as RFC 6749 §4.1.2 has it."""
    return quote_plus(text, safe="*")


def component_encoded(text: str) -> str:
    """Encode as JavaScript's encodeURIComponent, which leaves quotes and brackets alone."""
    return quote(text, safe="!'()*~")


# What is no answer to REQUEST: the text, the word of the contract, and a phrase of the sentence.
NO_ANSWER, OPEN, AGAIN = "not_a_redirect", "the address to open", "another sign-in"
ERROR_PAGE = "https://auth.openai.com/error"
FAILURE = (  # what the issuer tells of it
    "eyJraW5kIjoiQXV0aEFwaUZhaWx1cmUiLCJlcnJvckNvZGUiOiJ1bmtub3duX2Vycm9yIiwicmVxdWVzdElkIjoiYWJj"
    "LTEyMyJ9"
)
TOLD = f"{ERROR_PAGE}?payload={FAILURE}"
REJECTED: dict[str, tuple[str, str, str]] = {
    "nothing": ("", NO_ANSWER, "Nothing was pasted"),
    "only blanks": (" \n\t ", NO_ANSWER, "Nothing was pasted"),
    "words": ("what do I paste here", NO_ANSWER, "not the address"),
    "the authorize URL": (REQUEST.url, "authorize_url_pasted", OPEN),
    "its query": (REQUEST.url.partition("?")[2], "authorize_url_pasted", OPEN),
    "another authorize URL": (AuthorizationRequest(CODEX).url, "authorize_url_pasted", OPEN),
    "a page of the issuer": ("https://auth.openai.com/log-in", NO_ANSWER, "not done yet"),
    "the issuer's error page": (TOLD, "issuer_error_page", "(unknown_error, request abc-123)"),
    "an error page without payload": (ERROR_PAGE, "issuer_error_page", "the issuer's error page:"),
    "a code alone": (CODE, "missing_state", "a code alone"),
    "code and no state": (URL.partition("&scope")[0], "missing_state", "has no state"),
    "an empty state": (f"{URL.partition('&state')[0]}&state=", "missing_state", "has no state"),
    "another state": (URL[:-1] + "h", "state_mismatch", AGAIN),
    "a longer state": (URL + "x", "missing_state", "does not end where it should"),
    "a shorter state": (URL[:-1], "missing_state", "is cut off"),
    "a mail filter's link": (
        "https://url.de.m.mimecast.com/s/AbC?domain=x",
        NO_ANSWER,
        "a mail fil",
    ),
    "another answer in words": (f"see {URL[:-1]}h ok", "state_mismatch", AGAIN),
    "words of a browser": ("127.0.0.1 refused to connect", NO_ANSWER, "not the address"),
    "an API key in words": ("it is sk-proj-0123456789abcdefghij", NO_ANSWER, "an API key"),
    "a state in other letters": (URL.replace(STATE, STATE.swapcase()), "state_mismatch", AGAIN),
    "code#another state": (f"{CODE}#{STATE[::-1]}", "state_mismatch", AGAIN),
    "state and no code": (URL.replace("code=", "kode="), "missing_code", "no authorization code"),
    "an empty code": (URL.replace(CODE, ""), "missing_code", "no authorization code"),
    "a cut code": (URL.replace(CODE, CODE[:19]), "missing_code", "cut off"),
    "an endless code": (URL.replace(CODE, "c" * 2049), "missing_code", "cut off"),
    "a code that is not ASCII": (URL.replace(CODE, "%C3%A9" * 20), "missing_code", "damaged"),
    "a second code": (f"{URL}&code=other", "duplicate_parameter", "code more than once"),
    "a second code, escaped": (f"{URL}&%63ode=other", "duplicate_parameter", "code more"),
    "a second state": (f"{URL}&state={STATE}", "duplicate_parameter", "state more than once"),
    "two answers": (
        f"{URL}\n{URL.replace('9pX', '8pX')}",
        "duplicate_parameter",
        "different answers",
    ),
    "code and error": (f"{URL}&error=access_denied", "ambiguous_response", "a code and an error"),
    "a foreign iss": (f"{URL}&iss=https://evil.example", "issuer_mismatch", "another"),
    "an empty iss": (f"{URL}&iss=", "issuer_mismatch", "another authorization server"),
    "an API key": ("sk-proj-0123456789abcdefghij", NO_ANSWER, "an API key"),
    "broken escapes": (f"{URL}&x=%FF", NO_ANSWER, "cannot be decoded"),
    "a damaged code": (URL.replace(CODE, f"{CODE[:30]}|{CODE[30:]}"), NO_ANSWER, "damaged"),
    "too long": (URL + " " * 65536 + "x", NO_ANSWER, "longer than any answer (64 KiB)"),
    "too many parameters": (f"{URL}{'&a=b' * 70}", NO_ANSWER, "cannot be decoded"),
    "no parameter of an answer": ("?utm_source=x", NO_ANSWER, "not the address"),
}
