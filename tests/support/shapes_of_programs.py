"""What programs make of an address: browsers, logs, data formats and shells."""

from __future__ import annotations

import json
import quopri
import shlex
from html import escape
from urllib.parse import parse_qsl, quote

from tests.support.pastes import Wrap, around, replaced


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


def quoted_printable(url: str) -> str:
    """Write as the source of a mail does."""
    return quopri.encodestring(url.encode()).decode()


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
