"""A certificate authority, TLS in front of an issuer, and a proxy: a corporate network in small."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(folder: Path, name: str, *, days: float = 1) -> tuple[Path, Path]:
    """Write a self-signed certificate for `localhost` and its key; returns both paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _write(folder, name, certificate, key)


def make_chain(folder: Path, hosts: Sequence[str]) -> tuple[Path, Path, Path]:
    """Write a CA's certificate, and a certificate that it has issued for hosts, with its key."""
    authority, authority_key = make_certificate(folder, "authority")
    issuer = x509.load_pem_x509_certificate(authority.read_bytes())
    signing = serialization.load_pem_private_key(authority_key.read_bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .add_extension(names, critical=False)
        .sign(signing, hashes.SHA256())
    )
    return authority, *_write(folder, hosts[0], certificate, key)


def _write(
    folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> tuple[Path, Path]:
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


@contextmanager
def tls_in_front_of(port: int, certificate: Path, key: Path, own_port: int = 0) -> Iterator[int]:
    """Terminate TLS on a port and hand everything on to a plain one; yields the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as secure:
            _join(secure, port)

    with _serving(serve, own_port) as served:
        yield served


@contextmanager
def connect_proxy(refuse: str = "") -> Iterator[tuple[int, list[str]]]:
    """Serve CONNECT (RFC 9110 §9.3.6); yields its port and the heads of what it was asked.

    `refuse` is the status of a refusal.
    """
    asked: list[str] = []

    def serve(client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
            if head[:1] in (b"\x16", b"\x05"):  # TLS or SOCKS, which it does not speak
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return
        asked.append(head.decode())
        if refuse:
            client.sendall(f"HTTP/1.1 {refuse}\r\n\r\n".encode())
            return
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        _join(client, int(head.split(b" ")[1].rpartition(b":")[2]))

    with _serving(serve) as port:
        yield port, asked


@contextmanager
def socks_proxy(password: str = "") -> Iterator[tuple[int, list[str]]]:
    """Serve SOCKS5 (RFC 1928, RFC 1929); yields its port and the names it was asked for.

    With `password` it demands that one, of any user.
    """
    asked: list[str] = []

    def serve(client: socket.socket) -> None:
        methods = client.recv(client.recv(2)[1])
        method = 2 if password else 0
        client.sendall(bytes([5, method if method in methods else 0xFF]))
        if password:
            client.recv(client.recv(2)[1])
            right = client.recv(client.recv(1)[0]) == password.encode()
            client.sendall(bytes([1, 0 if right else 1]))
        client.recv(4)
        name = client.recv(client.recv(1)[0]).decode()
        asked.append(name)
        port = int.from_bytes(client.recv(2), "big")
        client.sendall(b"\5\0\0\1" + bytes(6))
        _join(client, port)

    with _serving(serve) as port:
        yield port, asked


@contextmanager
def _serving(serve: Callable[[socket.socket], None], port: int = 0) -> Iterator[int]:
    def handle(client: socket.socket) -> None:
        with suppress(OSError, IndexError), client:  # IndexError: it ended in the middle
            serve(client)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                threading.Thread(target=handle, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", port)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]


def _join(client: socket.socket, port: int) -> None:
    """Pass bytes both ways until one side ends."""
    with socket.create_connection(("127.0.0.1", port)) as server:
        threading.Thread(target=_pass, args=(server, client), daemon=True).start()
        _pass(client, server)


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
