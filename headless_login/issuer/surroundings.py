"""What the environment says of the way to an issuer: proxies and certificates, before any request.

Light: it is asked before the address is shown, so that nobody signs in for nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping

from headless_login.errors import FAILED, OK, Finding, IssuerTrouble
from headless_login.oauth.provider import Provider
from headless_login.oauth.text import one_line, shell_word, unset
from headless_login.typed import NamedTuple

# Of the certificates: Codex's own is added to the others; those of OpenSSL stand in place of the
# system's; those of requests and curl are what people set for programs in Python.
CODEX_CERTIFICATE = "CODEX_CA_CERTIFICATE"
CERTIFICATE_FILES = (CODEX_CERTIFICATE, "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
CERTIFICATE_FOLDER = "SSL_CERT_DIR"

_PROXIES: tuple[str, ...] = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
if sys.platform == "win32":  # which knows no small letters in the names of variables
    _PROXIES = ("HTTPS_PROXY", "ALL_PROXY")
_PROXY = (  # whatever the case
    r"(?:(?P<scheme>https?|socks(?:4a?|5h?)?)://)?"
    r"(?:(?P<user>[^@/?#\s\"']*)@)?"
    r"(?P<host>[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?\])"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)


class Proxy(NamedTuple):
    """A proxy as the environment names it: what requests are sent by, and what may be shown."""

    variable: str
    url: str
    shown: str
    has_password: bool = False


def proxy_of(provider: Provider, environ: Mapping[str, str] = os.environ) -> Proxy | None:
    """Return the proxy on the way to an issuer, or None; one on this machine never has one.

    Raises:
        IssuerTrouble: `issuer_unreachable`; the value is no address. It is not shown: it may hold
            a password.
    """
    if provider.on_loopback or _is_excepted(provider.host, environ):
        return None
    variable = next((name for name in _PROXIES if environ.get(name, "").strip()), None)
    if variable is None:
        return None
    import re

    found = re.fullmatch(_PROXY, environ[variable].strip(), re.I)
    if found is None or not 0 < int(found["port"] or 1) <= 65535:
        raise IssuerTrouble(
            "issuer_unreachable",
            f"{variable} is not the address of a proxy.",
            f"Write it as http://HOST:PORT, without quotes; in a password, write @ / ? # as %40 "
            f"%2F %3F %23. Or: {unset(variable)}",
        )
    scheme = (found["scheme"] or "http").lower()
    scheme = "socks5h" if scheme == "socks" else scheme  # as GNOME and others write it
    user, shown = found["user"], found["host"] + (f":{found['port']}" if found["port"] else "")
    url = f"{scheme}://{f'{user}@' if user else ''}{shown}"
    return Proxy(variable, url, f"{shown} ({variable})", bool(user))


def _is_excepted(host: str, environ: Mapping[str, str]) -> bool:
    """Return whether NO_PROXY names a host, or a domain that it is in."""
    listed = environ.get("no_proxy") or environ.get("NO_PROXY")
    if not listed:
        return False
    import re

    name = re.sub(r":\d+$", "", host).strip("[]").lower()
    for entry in listed.split(","):
        excepted = re.sub(r":\d+$", "", entry.strip().lower()).lstrip("*").lstrip(".")
        if entry.strip() == "*" or (
            excepted and (name == excepted or name.endswith(f".{excepted}"))
        ):
            return True
    return False


class CertificateFile(NamedTuple):
    """A file of certificates, and the variable that names it."""

    variable: str
    path: str


def certificate_files(environ: Mapping[str, str] = os.environ) -> list[CertificateFile]:
    """Return the files that the environment names, Codex's own first."""
    return [CertificateFile(n, environ[n]) for n in CERTIFICATE_FILES if environ.get(n)]


def check_surroundings(provider: Provider, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse proxies and certificate files of which it is known that no request gets through.

    Raises:
        IssuerTrouble: `issuer_unreachable` or `tls_error`, with the variable and what mends it.
    """
    proxy_of(provider, environ)
    if provider.on_loopback:
        return
    for file in certificate_files(environ):
        if wrong := _wrong_with(file):
            raise IssuerTrouble(
                "tls_error", f"{one_line(file.path)} (from {file.variable}) {wrong[0]}.", wrong[1]
            )


def look_around(provider: Provider, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Check the same for `doctor`; a proxy's host is not shown."""
    try:
        proxy = proxy_of(provider, environ)
        told = f"{proxy.variable} names a proxy." if proxy else "No variable names a proxy."
        yield Finding("proxy", OK, told)
    except IssuerTrouble as trouble:
        yield trouble.finding("proxy")
    files = certificate_files(environ)
    for file in files:
        wrong, remedy = _wrong_with(file) or ("can be used", "")
        message = f"{one_line(file.path)} (from {file.variable}) {wrong}."
        yield Finding("certificates", FAILED if remedy else OK, message, remedy)
    folder = environ.get(CERTIFICATE_FOLDER)
    if folder and not any(map(os.path.isdir, folder.split(os.pathsep))):
        message = f"{CERTIFICATE_FOLDER} names no folder."
        yield Finding("certificates", FAILED, message, unset(CERTIFICATE_FOLDER))
    elif not files:
        yield Finding("certificates", OK, "No variable names a file of certificates.")


def _wrong_with(file: CertificateFile) -> tuple[str, str] | None:
    """Return what is wrong with a file of certificates, and what mends it."""
    path, other = file.path, f"Name the right file, or: {unset(file.variable)}"
    if path != path.strip(" \t\r\n\"'"):
        return "has quotes or blanks around its name", f"Write it without them. {other}"
    if path.startswith("~"):
        return "begins with a ~, which only a shell expands", f"Write the whole path. {other}"
    try:
        with open(path, "rb") as content:
            head = content.read(4 * 1024 * 1024)
    except OSError as error:
        return f"cannot be read: {error.strerror or type(error).__name__}", other
    if head[:1] == b"\x30":
        windows = sys.platform == "win32"
        makes = "certutil -encode {} {}" if windows else "openssl x509 -inform der -in {} -out {}"
        convert = makes.format(shell_word(path), shell_word(f"{path}.pem"))
        return "is in the binary form (DER), not PEM", f"Convert it: {convert}"
    if b"-----BEGIN " not in head:
        return "holds no certificate (PEM)", other
    return _wrong_certificates(path, other)


def _wrong_certificates(path: str, other: str) -> tuple[str, str] | None:
    import ssl
    import time

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError):
        return "is damaged: its certificates cannot be read", other
    ends = [ssl.cert_time_to_seconds(str(each["notAfter"])) for each in context.get_ca_certs()]
    if ends and max(ends) < time.time():
        return "holds only certificates that have expired", other
    return None
