"""What people make of an address: in chats, in documents, in mails, and beside other addresses."""

from __future__ import annotations

from html import escape

from tests.support.pastes import REQUEST, URL, Wrap, around, broken, replaced
from tests.support.shapes_of_programs import encoded, quoted_printable, values_of


def defended(url: str) -> str:
    """Rewrite as urldefense.proofpoint.com's version 2 does."""
    return "".join(
        c if c.isalnum() or c == "." else "_" if c == "/" else f"-{ord(c):02X}" for c in url
    )


ANOTHER = URL.replace(REQUEST.state, REQUEST.state[::-1]).replace("kW4", "aN0")
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
