"""The commands and their options, as data: what the quick reader reads, and Typer declares.

A row of OPTIONS is the name of the function's argument, then: kind, flags, metavar, default, help.
A `flag` takes no value; `texts` may be repeated; `integer` is a port. A row of COMMANDS is the
command's words, then: the function (`module:name`, in this package), what the list of commands
says, the names of its options (`option=default` where the default is another one), and its
arguments, each a name, kind, metavar and help. A text that is longer than the function's own
description stands in HELP.
"""

from __future__ import annotations

OPTIONS: dict[str, tuple[str, tuple[str, ...], str, object, str]] = {
    "paste_redirect": (
        "flag",
        ("--paste-redirect",),
        "",
        False,
        "Bind no port: sign in on another device and paste the address of the page that fails to "
        "load.",
    ),
    "device_auth": (
        "flag",
        ("--device-auth", "--device-code"),
        "",
        False,
        "Show a one-time code to be typed on a web page.",
    ),
    "with_api_key": (
        "flag",
        ("--with-api-key",),
        "",
        False,
        "Read an OpenAI API key from standard input.",
    ),
    "with_access_token": (
        "flag",
        ("--with-access-token",),
        "",
        False,
        "Read an access token of Codex from standard input.",
    ),
    "api_key": ("text", ("--api-key",), "", None, ""),  # hidden: it is refused
    "no_browser": ("flag", ("--no-browser",), "", False, "Open no browser on this machine."),
    "qr": (
        "text",
        ("--qr",),
        "auto|always|never|graphics",
        "auto",
        "Whether to show a QR code; graphics: by the terminal's picture protocol.",
    ),
    "qr_file": ("text", ("--qr-file",), "PATH", None, "Also write the QR code as .png or .svg."),
    "timeout": ("text", ("--timeout",), "SECONDS", "900", "For the whole sign-in."),
    "port": (
        "integer",
        ("--port",),
        "N",
        None,
        "Only this loopback port; default 1455, then 1457.",
    ),
    "redirect_port": (
        "integer",
        ("--port",),
        "N",
        1455,
        "The port of the page that it ends at.",
    ),
    "bind": ("text", ("--bind",), "ADDRESS", None, "Listen there; default 127.0.0.1 and ::1."),
    "take_over_port": (
        "flag",
        ("--take-over-port",),
        "",
        False,
        "End another sign-in that waits on the port.",
    ),
    "phone": (
        "flag",
        ("--phone",),
        "",
        False,
        "Also serve a page for a phone on this network; who signs in there is confirmed here, or "
        "named by --expect.",
    ),
    "phone_bind": (
        "text",
        ("--phone-bind",),
        "ADDRESS[:PORT]",
        None,
        "Where that page is; default: where this ssh session came in, else the default route's.",
    ),
    "issuer": (
        "text",
        ("--issuer",),
        "URL",
        None,
        "Another authorization server.  [env var: HEADLESS_LOGIN_ISSUER]",
    ),
    "client_id": (
        "text",
        ("--client-id",),
        "ID",
        None,
        "Another client, whose endpoints are looked up at the issuer.  [env var: "
        "HEADLESS_LOGIN_CLIENT_ID]",
    ),
    "scope": ("text", ("--scope",), "TEXT", None, "Other scopes, separated by blanks."),
    "codex_home": (
        "text",
        ("--codex-home",),
        "DIR",
        None,
        "Codex's folder; default $CODEX_HOME, else ~/.codex.",
    ),
    "store_anyway": (
        "flag",
        ("--store-anyway",),
        "",
        False,
        "Also where Codex keeps sign-ins elsewhere than in auth.json.",
    ),
    "expect": (
        "text",
        ("--expect",),
        "WHO",
        None,
        "Refuse the tokens of anybody else than this e-mail address, account or workspace id.",
    ),
    "revoke_old": (
        "flag",
        ("--revoke-old",),
        "",
        False,
        "Revoke the sign-in that is replaced, instead of keeping it.",
    ),
    "to": (
        "texts",
        ("--to",),
        "TARGET",
        (),
        "Sign in for another machine (see push): nothing becomes present here. Repeatable.",
    ),
    "to_one": (
        "text",
        ("--to",),
        "TARGET",
        None,
        "For another machine (see push): `finish` delivers it there.",
    ),
    "replace": (
        "flag",
        ("--replace",),
        "",
        False,
        "Also where somebody else is signed in there.",
    ),
    "no_wait": (
        "flag",
        ("--no-wait",),
        "",
        False,
        "Ask once about a one-time code; exit 5 if it is still pending.",
    ),
    "min_valid": (
        "number",
        ("--min-valid",),
        "SECONDS",
        None,
        "Refresh the access token first if it ends before.",
    ),
    "refresh": ("flag", ("--refresh",), "", False, "Refresh it in any case."),
    "print_api_key": (
        "flag",
        ("--api-key",),
        "",
        False,
        "Print an API key, too, if that is the sign-in.",
    ),
    "revoke": (
        "flag",
        ("--revoke",),
        "",
        False,
        "Also revoke the refresh token, on every machine.",
    ),
    "every": (
        "flag",
        ("--all",),
        "",
        False,
        "Forget every kept sign-in, too; with --revoke: revoke each.",
    ),
    "access_only": (
        "flag",
        ("--access-only",),
        "",
        False,
        "Copy the access token alone, which renews nothing.",
    ),
    "move": ("flag", ("--move",), "", False, "Remove it here, once it is verified there."),
    "form": (
        "text",
        ("--format",),
        "auth-json|k8s-secret|base64",
        "auth-json",
        "What is printed.",
    ),
    "force": ("flag", ("--force",), "", False, "To a terminal, too."),
    "online": (
        "flag",
        ("--online",),
        "",
        False,
        "Also ask the issuer: name, TLS, clock, access token.",
    ),
    "as_json": (
        "flag",
        ("--json",),
        "",
        False,
        "For programs: one JSON object a line on standard output.",
    ),
}

_WHO = (
    "who",
    "one",
    "WHO",
    "An e-mail address, an account id or the beginning of either; a key by its mask.",
)
_ISSUER = "issuer client_id scope "
COMMANDS: dict[str, tuple[str, str, str, tuple[tuple[str, str, str, str], ...]]] = {
    "login": (
        "login:sign_in",
        "Sign in with ChatGPT, or store an API key or an access token.",
        "paste_redirect device_auth with_api_key with_access_token api_key no_browser qr qr_file "
        "timeout port bind take_over_port phone phone_bind "
        + _ISSUER
        + "codex_home store_anyway expect revoke_old "
        "to replace as_json",
        (),
    ),
    "login start": (
        "login:start",
        "Begin a sign-in that `login finish` completes in another call.",
        "device_auth qr qr_file timeout redirect_port " + _ISSUER + "codex_home store_anyway "
        "expect to_one replace as_json",
        (),
    ),
    "login finish": (
        "login:finish",
        "Complete a sign-in that `login start` began, in a call of its own.",
        "no_wait codex_home store_anyway expect revoke_old as_json",
        (
            (
                "answer",
                "maybe",
                "[URL|-]",
                "The address that the browser ended at; better on standard input (-), which other "
                "users of this machine cannot see. Nothing for a one-time code.",
            ),
        ),
    ),
    "login status": (
        "account:status",
        "Return whether and as whom this machine is signed in.",
        "as_json codex_home",
        (),
    ),
    "logout": (
        "account:logout",
        "Remove the sign-in from this machine, and what is pending.",
        "revoke every codex_home as_json",
        (),
    ),
    "status": (
        "account:status",
        "Return whether and as whom this machine is signed in.",
        "as_json codex_home",
        (),
    ),
    "token": (
        "account:token",
        "Print an access token that is valid.",
        "min_valid=900.0 refresh print_api_key codex_home as_json",
        (),
    ),
    "accounts": (
        "account:list_accounts",
        "Show, switch and forget the sign-ins of this Codex folder.",
        "codex_home as_json",
        (),
    ),
    "accounts list": (
        "account:list_accounts",
        "Show the sign-ins, the present one first (*), without touching the network.",
        "codex_home as_json",
        (),
    ),
    "accounts use": (
        "account:use",
        "Make another sign-in present, and keep the present one; `use -` goes back.",
        "codex_home as_json",
        (_WHO,),
    ),
    "accounts remove": (
        "account:remove",
        "Forget a kept sign-in, without asking the issuer for anything.",
        "codex_home as_json",
        (_WHO,),
    ),
    "push": (
        "account:push",
        "Copy the present sign-in to other machines and containers.",
        "access_only move replace min_valid codex_home as_json",
        (("targets", "all", "TARGET...", "Where it is copied."),),
    ),
    "export": (
        "account:export",
        "Print auth.json, for pipes, Kubernetes Secrets and CI variables.",
        "access_only min_valid form force codex_home",
        (),
    ),
    "doctor": (
        "account:doctor",
        "Check what a sign-in needs here.",
        "online as_json codex_home",
        (),
    ),
    "demo": (
        "account:demo",
        "Show a whole practice sign-in: no account, no network.",
        "as_json",
        (),
    ),
}
