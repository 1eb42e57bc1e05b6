"""The options that more than one command has, each with its one meaning."""

from __future__ import annotations

from typing import Annotated

import typer

CodexHomeOption = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Codex's folder; default $CODEX_HOME, else ~/.codex."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="For programs: one JSON object a line on standard output.")
]
DeviceOption = Annotated[
    bool,
    typer.Option(
        "--device-auth", "--device-code", help="Show a one-time code to be typed on a web page."
    ),
]
QrOption = Annotated[
    str,
    typer.Option(
        metavar="auto|always|never|graphics",
        help="Whether to show a QR code; graphics: by the terminal's picture protocol.",
    ),
]
QrFileOption = Annotated[
    str | None,
    typer.Option("--qr-file", metavar="PATH", help="Also write the QR code as .png or .svg."),
]
TimeoutOption = Annotated[float, typer.Option(metavar="SECONDS", help="For the whole sign-in.")]
IssuerOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL", envvar="HEADLESS_LOGIN_ISSUER", help="Another authorization server."
    ),
]
ClientIdOption = Annotated[
    str | None,
    typer.Option(
        "--client-id",
        metavar="ID",
        envvar="HEADLESS_LOGIN_CLIENT_ID",
        help="Another client, whose endpoints are looked up at the issuer.",
    ),
]
ScopeOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Other scopes, separated by blanks.")
]
