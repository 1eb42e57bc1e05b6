"""What becomes of an address between a browser and the paste: some 300 kinds.

Each makes a text out of an answer's address; the right value of it is that answer's code.
"""

from __future__ import annotations

import json
import quopri
import shlex
from html import escape
from urllib.parse import parse_qsl, quote

from tests.support.pastes import FORMS, REQUEST, URL, WRAPS, Wrap, around, broken, replaced


def encoded(text: str) -> str:
    """Encode as a parameter of a link."""
    return quote(text, safe="")


def query_of(url: str) -> str:
    """Return what stands behind the question mark."""
    return url.partition("?")[2]


def path_of(url: str) -> str:
    """Return what a server's log shows of an address."""
    return f"/auth/callback?{query_of(url)}"


def values_of(url: str) -> dict[str, str]:
    """Return the parameters, decoded, as the tools of browsers list them."""
    return dict(parse_qsl(query_of(url)))


def listed(row: str, between: str = "\n", first: str = "", last: str = "") -> Wrap:
    """Return what lists the parameters, each in a row of its own."""
    return lambda url: (
        first + between.join(row.format(*pair) for pair in values_of(url).items()) + last
    )


def defended(url: str) -> str:
    """Rewrite as urldefense.proofpoint.com's version 2 does."""
    return "".join(
        c if c.isalnum() or c == "." else "_" if c == "/" else f"-{ord(c):02X}" for c in url
    )


def quoted_printable(url: str) -> str:
    """Write as the source of a mail does."""
    return quopri.encodestring(url.encode()).decode()


ANOTHER = URL.replace(REQUEST.state, REQUEST.state[::-1]).replace("kW4", "aN0")
SOURCE = "127.0.0.1 - - [23/Nov/2026:10:31:22 +0000] "

BROWSERS: dict[str, Wrap] = {
    "view-source": around("view-source:"),
    "about:neterror": lambda url: (
        f"about:neterror?e=connectionFailure&u={encoded(url)}&c=UTF-8&d=Firefox%20can%E2%80%99t"
    ),
    "about:reader": lambda url: f"about:reader?url={encoded(url)}",
    "Chrome's page": around(
        "This site can’t be reached\n127.0.0.1 refused to connect.\nERR_CONNECTION_REFUSED\n"
    ),
    "Chrome's page behind": around("", "\n\nThis site can’t be reached\nERR_CONNECTION_REFUSED"),
    "Firefox's page": around(
        "Unable to connect\n\nFirefox can’t establish a connection to the server at "
        "127.0.0.1:1455.\n\n"
    ),
    "Edge's page in German": around(
        "Hmmm … diese Seite ist leider nicht erreichbar.\n127.0.0.1 hat die Verbindung abgelehnt.\n"
    ),
    "the name of a tab": around("127.0.0.1 - ", " - Google Chrome"),
    "a bookmark": lambda url: f'<DT><A HREF="{escape(url)}" ADD_DATE="1763893882">127.0.0.1</A>',
    "the history": around("10:31 AM\t127.0.0.1\t", "\t127.0.0.1"),
    "a phone's share": around("127.0.0.1: ", "\n\nSent from my iPhone"),
    "the network table": lambda url: (
        f"callback?{query_of(url)}\t(failed)net::ERR_CONNECTION_REFUSED\tdocument\tOther\t0 B"
    ),
    "headers, a line": around(
        "Request URL: ", "\nRequest Method: GET\nReferrer Policy: no-referrer"
    ),
    "headers, two lines": around("Request URL\n", "\nRequest Method\nGET\nStatus Code\n302 Found"),
    "headers of HTTP/2": lambda url: (
        f":authority: 127.0.0.1:1455\n:method: GET\n:path: {path_of(url)}\n:scheme: http"
    ),
    "the payload, raw": query_of,
    "the payload, parsed": listed("{}: {}"),
    "the payload, a table": listed("{}\t{}"),
    "the payload, two lines each": listed("{}\n{}"),
    "HAR": lambda url: json.dumps(
        {"request": {"method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": []}},
        indent=2,
    ),
    "HAR with its query": lambda url: json.dumps(
        {
            "url": url,
            "queryString": [{"name": key, "value": text} for key, text in values_of(url).items()],
        },
        indent=2,
    ),
    "the console": around("GET ", " net::ERR_CONNECTION_REFUSED"),
    "Firefox's console": around("GET\n", "\nNS_ERROR_CONNECTION_REFUSED"),
    "Firefox's console, a line": around("XHRGET ", " [HTTP/1.1 302 Found 12ms]"),
    "a script": around('window.location.href = "', '";'),
    "a refresh": lambda url: f'<meta http-equiv="refresh" content="0;url={escape(url)}">',
    "a link": lambda url: f'<p>Go <a class="x" href="{escape(url)}">here</a>.</p>',
    "a link that shows itself": lambda url: f'<a href="{escape(url)}">{escape(url)}</a>',
    "a link not escaped": around("<a href='", "'>here</a>"),
}
LOGS: dict[str, Wrap] = {
    "a request": lambda url: f"GET {path_of(url)} HTTP/1.1\r\nHost: 127.0.0.1:1455\r\n\r\n",
    "a request, absolute": lambda url: f"GET {url} HTTP/1.1\r\nHost: 127.0.0.1:1455\r\n",
    "a redirect": lambda url: f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n",
    "curl -v": lambda url: f"< HTTP/2 302 \n< location: {url}\n< content-length: 0\n< ",
    "curl -v, asked": lambda url: f"> GET {path_of(url)} HTTP/1.1\n> Host: 127.0.0.1:1455\n> ",
    "a web server's": lambda url: (
        f'{SOURCE}"GET {path_of(url)} HTTP/1.1" 502 157 "-" "Mozilla/5.0"'
    ),
    "uvicorn's": lambda url: f'INFO:     127.0.0.1:52344 - "GET {path_of(url)} HTTP/1.1" 404',
    "a server's in Python": lambda url: f'{SOURCE}"GET {path_of(url)} HTTP/1.1" 404 -',
    "an exception's": lambda url: (
        "HTTPConnectionPool(host='127.0.0.1', port=1455): Max retries exceeded with url: "
        f"{path_of(url)} (Caused by NewConnectionError(refused))"
    ),
    "Go's error": lambda url: f'Get "{url}": dial tcp 127.0.0.1:1455: connect: connection refused',
    "wget's": around("--2026-11-23 10:31:22--  ", "\nConnecting to 127.0.0.1:1455... failed."),
    "lynx": around("Alert!: Unable to access document.\n", "\n"),
    "syslog": around("Nov 23 10:31:22 host prog[123]: redirect to "),
    "Kubernetes": around("2026-11-23T10:31:22.123456789Z stdout F "),
    "docker compose": around("web-1  | "),
    "a level": around("2026-11-23 10:31:22,123 [INFO] callback: "),
    "key=value": around('level=info msg="redirect" url="', '" status=302'),
    "key=value, bare": around("level=info url=", " status=302"),
    "JSON lines": lambda url: json.dumps(
        {"ts": 1763893882.1, "level": "info", "uri": path_of(url)}
    ),
    "grep -n": around("12:"),
    "a traceback": around('  File "x.py", line 3, in <module>\nValueError: ', ""),
}
DATA: dict[str, Wrap] = {
    "JSON": lambda url: json.dumps({"url": url}),
    "JSON, pretty": lambda url: json.dumps({"a": 1, "url": url, "b": [2]}, indent=4),
    "JSON in JSON": lambda url: json.dumps({"text": json.dumps({"url": url})}),
    "JSON of the values": lambda url: json.dumps(values_of(url)),
    "JSON of the values, pretty": lambda url: json.dumps(values_of(url), indent=2),
    "JavaScript": lambda url: f"{{ url: '{url}', method: 'GET' }}",
    "a Python dict": lambda url: repr({"url": url, "n": 1}),
    "a Python dict of the values": lambda url: repr(values_of(url)),
    "a Python tuple": lambda url: repr((url,)),
    "a list": lambda url: repr([url, "x"]),
    "YAML": around("redirect:\n  url: ", "\n  status: 302"),
    "YAML in quotes": around('url: "', '"'),
    "YAML of the values": listed("  {}: {}"),
    "TOML": around('url = "', '"'),
    "TOML of the values": listed('{} = "{}"'),
    "an ini file": around("[answer]\nurl = "),
    ".env": around("URL="),
    ".env in quotes": around('REDIRECT_URL="', '"'),
    ".env of the values": listed("{}={}"),
    "XML": lambda url: f"<url>{escape(url)}</url>",
    "XML, CDATA": around("<url><![CDATA[", "]]></url>"),
    "CSV in quotes": around('1,"', '","x"'),
    "a tab-separated row": around("1\t", "\tx"),
    "a table": around("| url | ", " | 302 |"),
    "SQL": around("INSERT INTO t VALUES ('", "');"),
    "a C string": around('const char *url = "', '";'),
    "a query string escaped in JSON": lambda url: json.dumps(
        {"q": query_of(url).replace("&", "\\u0026")}
    ),
}
SHELLS: dict[str, Wrap] = {
    "bash's prompt": around("ada@host:~/work$ "),
    "root's prompt": around("root@host:~# "),
    "zsh's prompt": around("host% "),
    "fish's prompt": around("ada@host ~> "),
    "PowerShell's prompt": around("PS C:\\Users\\ada> "),
    "cmd's prompt": around("C:\\Users\\ada>"),
    "an arrow for a prompt": around("➜  work git:(main) ✗ "),
    "a starship": around("~/work on main via v3.12\n❯ "),
    "Python's prompt": around(">>> url = '", "'"),
    "IPython's": around("Out[1]: '", "'"),
    "node's": around("> const url = '", "'"),
    "echo": lambda url: f"echo {shlex.quote(url)} | headless-login login finish -",
    "printf": lambda url: f"printf '%s\\n' {shlex.quote(url)} | headless-login login finish -",
    "finish": lambda url: f"headless-login login finish {shlex.quote(url)}",
    "a here string": lambda url: f"headless-login login finish - <<< {shlex.quote(url)}",
    "a here document": around("headless-login login finish - <<'EOF'\n", "\nEOF"),
    "export": around("export URL='", "'"),
    "set": around('set "URL=', '"'),
    "setx": lambda url: "set URL=" + url.replace("&", "^&"),
    "$env:": around('$env:URL = "', '"'),
    "fish's set": around("set -x URL '", "'"),
    "a variable": around("URL='", "'; echo $URL"),
    "xdg-open": around("xdg-open '", "' &"),
    "a quoted command": lambda url: f'sh -c "open \\"{url}\\""',
    "a command in quotes": lambda url: f"bash -c {shlex.quote('open ' + shlex.quote(url))}",
    "PowerShell's escapes": replaced(("&", "`&")),
    "Start-Process": around("Start-Process '", "'"),
    "a batch file": lambda url: 'start "" "' + url.replace("%", "%%") + '"',
    "xclip": around("$ xclip -o\n", "\n$ "),
    "pbpaste": around("% pbpaste\n", "%\n"),
    "a comment": around("# "),
    "//": around("// "),
    "xtrace": lambda url: f"+ open {shlex.quote(url)}",
    "ssh": lambda url: f"ssh box curl -s {shlex.quote(shlex.quote(url))}",
    "HTTPie": lambda url: f"http GET {shlex.quote(url)}",
}
CHATS: dict[str, Wrap] = {
    "IRC": around("10:31 <ada> "),
    "IRC, an operator": around("[10:31:22] <@ada> "),
    "Messenger": around("Ada: "),
    "Slack": around("Ada Lovelace  10:31 AM\n"),
    "Slack, a sentence": lambda url: f"Here: <{escape(url, quote=False)}> thanks",
    "Slack, a link in a sentence": lambda url: f"see <{escape(url, quote=False)}|this page>, ok",
    "Slack's redirect": lambda url: f"https://slack-redir.net/link?url={encoded(url)}&v=3",
    "Discord": around("Ada — Today at 10:31\n"),
    "Discord's reply": around("@Ada ", " (edited)"),
    "Discord's spoiler": around("||", "||"),
    "Zoom": around("10:31:12 From Ada to Everyone : "),
    "Signal": around("Ada, 10:31\n", "\n10:32 ✓✓"),
    "Matrix": around("> <@ada:example.org> "),
    "a line before and after": around("hi, is this it?\n", "\nit did not load"),
    "a sentence": around("I ended at ", " and nothing happened."),
    "a sentence that ends": around("The address is ", ". What now?"),
    "a question": around("Is it this: ", " ?"),
    "a comma": around("It says ", ", then nothing."),
    "an exclamation mark": around("Here! ", "!"),
    "a semicolon in words": around("ok; here ", " - done"),
    "a dash": around("the address — ", " — of the page"),
    "no blank before": around("here:"),
    "emoji": around("👉 ", " 👈"),
    "emoji without blanks": around("👉", "👈🏽"),
    "a heart": around("", " ❤️ thx"),
    "an ellipsis behind": around("I got ", "…"),
    "Chinese": around("地址是：", "。谢谢"),
    "Chinese, no mark": around("链接是"),
    "Japanese": around("これです「", "」です"),
    "Japanese, brackets": around("（", "）"),
    "German": around("Hier: „", "“, danke."),
    "French": around("Voici : «\u202f", "\u202f» merci"),
    "Russian": around("Вот адрес: ", " спасибо"),
    "Arabic": around("\u202bهذا \u202a", "\u202c هو\u202c"),
    "Hebrew": around("\u200fהנה \u2066", "\u2069."),
    "a word joiner": around("\u2060", "\u2060"),
    "a full-width query": replaced(("?", "？"), ("&", "＆"), ("=", "＝")),
    "GitHub's quote": around("> ", "\n\nThat is all."),
    "a number": around("1. "),
    "an asterisk": around("* "),
    "a checkbox": around("- [x] "),
    "bold": around("**", "**"),
    "italics": around("_", "_"),
    "struck": around("~~", "~~"),
    "a mention": around("@codex "),
    "an agent": around("<user_message>\n", "\n</user_message>"),
    "a tool's result": lambda url: f'{{"role":"user","content":"{url}"}}',
}
MARKUP: dict[str, Wrap] = {
    "Markdown in a sentence": around("See [the page](", ") for more."),
    "Markdown, a reference": around("[1]: ", ' "the page"'),
    "Markdown, a picture": around("![x](", ")"),
    "Markdown, angles": around("[x](<", ">)"),
    "Markdown, escaped": replaced(("_", "\\_"), ("~", "\\~"), ("*", "\\*")),
    "Markdown, code": around("The address is `", "`."),
    "Markdown, two backticks": around("`` ", " ``"),
    "Markdown, a block": around("```text\n", "\n```"),
    "a wiki": around("[", " the page]"),
    "a wiki's title": around("[[", "|the page]]"),
    "reST": around("`the page <", ">`_"),
    "AsciiDoc": around("", "[the page]"),
    "Org": around("[[", "][the page]]"),
    "Jira": around("[the page|", "]"),
    "Jira, bare": around("[", "]"),
    "BBCode": around("[url]", "[/url]"),
    "BBCode with text": around("[url=", "]the page[/url]"),
    "LaTeX": around("\\url{", "}"),
    "LaTeX, escaped": lambda url: "\\href{{{}}}{{x}}".format(
        url.replace("%", "\\%").replace("&", "\\&")
    ),
    "a footnote": around("the page (", ")."),
    "a code tag": lambda url: f"<pre><code>{escape(url)}</code></pre>",
    "a span": lambda url: f"<p>{escape(url).replace('state', '<b>state</b>')}</p>",
    "wbr": lambda url: escape(url).replace("&amp;", "<wbr>&amp;"),
    "numbers of entities": lambda url: "".join(f"&#{ord(c)};" if c in ":/?&=" else c for c in url),
    "hexadecimal entities": lambda url: "".join(
        f"&#x{ord(c):x};" if c in "/?&=" else c for c in url
    ),
    "escaped twice": lambda url: escape(escape(url)),
}
MAILS: dict[str, Wrap] = {
    "quoted-printable": quoted_printable,
    "quoted-printable HTML": lambda url: quoted_printable(f'<a href="{escape(url)}">here</a>'),
    "a header": around("From: Ada <ada@example.com>\nSubject: address\n\n"),
    "wrote": around("On Mon, 23 Nov 2026 at 10:31, Ada <ada@example.com> wrote:\n> "),
    "a signature": around("", "\n\n-- \nAda Lovelace\nhttps://example.com/?ada"),
    "regards": around("Dear all,\n\n", "\n\nregards, Ada"),
    "a forward": around("---------- Forwarded message ---------\nFrom: Ada\n\n", "\n"),
    "a disclaimer": around("", "\n_____\nThis e-mail is confidential; see http://example.com/?a=b"),
    "SafeLinks": lambda url: (
        f"https://eur01.safelinks.protection.outlook.com/?url={encoded(url)}&data=05%7C02%7Cada%40"
        "example.com%7C0&sdata=abc%3D&reserved=0"
    ),
    "urldefense v2": lambda url: (
        f"https://urldefense.proofpoint.com/v2/url?u={defended(url)}&d=DwMFaQ&c=abc&r=def&e="
    ),
    "urldefense v3": lambda url: f"https://urldefense.com/v3/__{url}__;!!ABC!def$",
    "Google": lambda url: f"https://www.google.com/url?q={encoded(url)}&source=gmail&ust=17&usg=AO",
    "Google, sa first": lambda url: f"https://www.google.com/url?sa=t&url={encoded(url)}&ved=2ah",
    "Barracuda": lambda url: f"https://linkprotect.cudasvc.com/url?a={encoded(url)}&c=E,1,x&typo=1",
    "Trend Micro": lambda url: f"https://ca.trendmicro.com/wis/v1/query?url={encoded(url)}&umid=A",
    "FireEye": lambda url: f"https://protect2.fireeye.com/v1/url?k=1-2&q=1&e=3&u={encoded(url)}",
    "Cisco": lambda url: f"https://secure-web.cisco.com/1abcDEF/{encoded(url)}",
    "Facebook": lambda url: f"https://l.facebook.com/l.php?u={encoded(url)}&h=AT0",
    "VK": lambda url: f"https://vk.com/away.php?to={encoded(url)}&cc_key=",
    "a translator": lambda url: f"https://translate.google.com/translate?sl=auto&u={encoded(url)}",
    "SafeLinks in a sentence": lambda url: (
        f"see <https://nam12.safelinks.protection.outlook.com/?url={encoded(url)}&reserved=0>, ok"
    ),
    "a login's next": lambda url: f"https://example.com/login?next={encoded(encoded(url))}",
    "encoded": encoded,
    "encoded twice": lambda url: encoded(encoded(url)),
    "encoded in small letters": lambda url: (
        encoded(url).replace("%3A", "%3a").replace("%2F", "%2f").replace("%3D", "%3d")
    ),
    "encoded, said": lambda url: f"It is {encoded(url)} here",
}
COMPANY: dict[str, Wrap] = {
    "the address to open before": around(f"{REQUEST.url}\n"),
    "the address to open behind": around("", f"\n{REQUEST.url}"),
    "the address to open in words": around(f"Open {REQUEST.url} - it ended at "),
    "our prompt": around("Paste the address here: "),
    "our own words": around(
        "The page may fail to load. That is expected: paste its whole address here.\n\n> "
    ),
    "another answer before": around(f"{ANOTHER}\n"),
    "another answer behind": around("", f"\n{ANOTHER}"),
    "another answer, a paragraph": around(f"{ANOTHER}\n\n"),
    "another address before": around("https://example.com/x?y=z "),
    "another address behind": around("", " https://example.com/x?y=z"),
    "the place alone before": around("It went to http://127.0.0.1:1455/auth/callback and is "),
    "twice": lambda url: f"{url}\n{url}",
    "twice, by a blank": lambda url: f"{url} {url}",
    "twice, one encoded": lambda url: f"{url}\n{encoded(url)}",
    "twice, one broken": lambda url: f"{url}\n\n{broken(70, chr(10))(url)}",
    "thrice": lambda url: f"{url}\n{url}\n{url}",
    "twice in a link": lambda url: f'<a href="{escape(url)}">{escape(url)}</a> {url}',
    "fields of a form": lambda url: f"{values_of(url).get('code')}#{REQUEST.state}",
    "fields of a form, said": lambda url: f"Code: {values_of(url).get('code')}#{REQUEST.state} ok",
}
# Nobody would have to know what these hold; refused, and named.
UNWANTED = {"browser: the payload, two lines each"}


PLAIN = (
    {f"form: {name}": (lambda _, text=text: text) for name, text in FORMS.items()}
    | {f"way: {name}": wrap for name, wrap in WRAPS.items()}
    | {
        f"{kind}: {name}": wrap
        for kind, table in {
            "browser": BROWSERS,
            "log": LOGS,
            "data": DATA,
            "shell": SHELLS,
            "chat": CHATS,
            "markup": MARKUP,
            "mail": MAILS,
            "company": COMPANY,
        }.items()
        for name, wrap in table.items()
    }
)
