"""Answers to one sign-in, and what stands around them where people copy them from."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, quote_plus

from headless_login.oauth.provider import CODEX
from headless_login.oauth.request import AuthorizationRequest

REQUEST = AuthorizationRequest(CODEX, state="Zk3vQ9dM1xT7cB5nW0aLpg")
STATE = REQUEST.state
CODE = "ac_" + "kW4-_.~9pXr2" * 7
QUERY = f"code={CODE}&scope=openid+profile+email&state={STATE}"
URL = f"{REQUEST.redirect_uri}?{QUERY}"
Wrap = Callable[[str], str]


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
    "Slack, a code block": around("```", "```"),
    "Discord, no preview": around("<", ">"),
    "a mail, quoted": lambda url: broken(72, "\n> ", "> ")(url),
    "a mail, quoted twice": lambda url: broken(68, "\n>> ", ">> ")(url),
    "a mail, quoted in HTML": around("&lt;", "&gt;"),
    "a title before": around("This site can’t be reached\n127.0.0.1 refused to connect.\n"),
    "a title that asks": around("Can't open the page? Try again\n"),
    "a title with a slash": around("127.0.0.1 / Fehler & mehr - "),
    "Safari's title": around("Safari can’t connect to the server “127.0.0.1”.\n"),
    "zsh": replaced(("?", "\\?"), ("&", "\\&"), ("=", "\\="), ("+", "\\+"), ("~", "\\~")),
    "cmd.exe": replaced(("&", "^&")),
    "tmux": broken(80, "\n"),
    "tmux, blanks kept": lambda url: broken(80, " " * 20 + "\n")(url),
    "screen, indented": broken(76, "\n  ", "  "),
    "a TUI's box": broken(70, " │\n│ ", "╭──╮\n│ ", " │\n╰──╯"),
    "a TUI's box of ASCII": broken(70, " |\n| ", "| ", " |"),
    "an OSC 8 link": lambda url: f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\",
    "cat -v": around("^[[200~", "^[[201~"),
    "readline's rests of the marks": around("00~", "01~"),
    "Markdown with a title": around("[the page](", ' "Redirect")'),
    "Markdown in bold": around("**[the page](", ")**."),
    "isolates of a bidirectional text": around("\u2066", "\u2069"),
    "guillemets": around("«\u00a0", "\u00a0»"),
    "brackets and a full stop": around("(", ")."),
    "a JSON string": lambda url: '"' + replaced(("/", "\\/"), ("&", "\\u0026"))(url) + '"',
}


def form_encoded(text: str) -> str:
    """Encode as RFC 6749 §4.1.2 has it."""
    return quote_plus(text, safe="*")


def component_encoded(text: str) -> str:
    """Encode as JavaScript's encodeURIComponent, which leaves quotes and brackets alone."""
    return quote(text, safe="!'()*~")
