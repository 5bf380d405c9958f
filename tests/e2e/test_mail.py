"""Mail from a running issuer to a real mail server, over STARTTLS and with a password."""

from __future__ import annotations

import datetime
import email
import email.policy
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from running import BINARIES, Issuer, free_port

USER, PASSWORD = "antlers", "p@ss/word"
TO = "ada@example.com"


@dataclass(frozen=True)
class Certificate:
    """A server's certificate for localhost and the authority that signed it."""

    authority: Path
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def sign(key: ec.EllipticCurvePrivateKey, subject: str, *, is_ca: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("Test authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(authority_key, hashes.SHA256())
        )

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    pem = serialization.Encoding.PEM
    authority, chain = folder / "authority.pem", folder / "server.pem"
    authority.write_bytes(sign(authority_key, "Test authority", is_ca=True).public_bytes(pem))
    chain.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + sign(key, "localhost", is_ca=False).public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return Certificate(authority, context)


class Mailbox:
    """Keeps what the server takes."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], EmailMessage, bool]] = []

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.taken.append((envelope.rcpt_tos, message, session.ssl is not None))
        return "250 taken"


@contextmanager
def server(context: ssl.SSLContext | None) -> Iterator[tuple[Mailbox, int]]:
    """Serve on a free port; with STARTTLS and a password if there is a certificate."""

    def check(_s: SMTP, _session: Session, _e: Envelope, _m: str, data: object) -> AuthResult:
        is_right = data == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right)

    mailbox, port = Mailbox(), free_port()
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=context is not None,
        auth_required=context is not None,
        authenticator=check,
    )
    controller.start()
    try:
        yield mailbox, port
    finally:
        controller.stop()


@contextmanager
def issuer(folder: Path, port: int, **env: str) -> Iterator[Issuer]:
    url = f"smtp://{USER}:p%40ss%2Fword@localhost:{port}?tls=required"
    started = Issuer(
        folder,
        QUEUE_ISSUER_MAIL_URL=url,
        QUEUE_ISSUER_MAIL_FROM="Antlers <no-reply@antlers.example>",
        QUEUE_ISSUER_FRONT_URL="https://account.antlers.example",
        **env,
    )
    try:
        yield started
    finally:
        assert started.program.stop() == 0
        assert TO not in "".join(started.program.lines)


def queue_test_mail(folder: Path) -> str:
    """Queue a mail as an operator does, on the command line beside the running issuer."""
    done = subprocess.run(
        [str(BINARIES / "queue-issuer"), "mail", "test", "--to", TO],
        env={
            "PATH": os.environ["PATH"],
            "QUEUE_ISSUER_DATA_DIR": str(folder / "queue-data"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert TO not in done.stdout + done.stderr
    return done.stdout.split()[0]


def until(is_true: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline, what()


def test_a_mail_goes_from_the_command_line_through_the_outbox_over_starttls(
    certificate: Certificate, tmp_path: Path
) -> None:
    trust = {"SSL_CERT_FILE": str(certificate.authority)}
    with (
        server(certificate.context) as (mailbox, port),
        issuer(tmp_path, port, **trust) as running,
    ):
        mail_id = queue_test_mail(tmp_path)
        until(lambda: bool(mailbox.taken), lambda: running.program.lines)
        recipients, message, is_encrypted = mailbox.taken[0]
        assert (recipients, is_encrypted) == ([TO], True)
        assert message["Message-ID"] == f"<{mail_id}@antlers.example>"
        assert message["From"] == "Antlers <no-reply@antlers.example>"
        assert (message["To"], message["Auto-Submitted"]) == (TO, "auto-generated")
        for kind in ("plain", "html"):
            body = message.get_body((kind,))
            assert body is not None
            words = body.get_content()
            assert "Antlers" in words
            assert "https://account.antlers.example" in words
            assert running.url not in words

        def listed() -> dict[str, object]:
            mails = running.operate("GET", "/mail").body["mail"]
            return next(mail for mail in mails if mail["id"] == mail_id)

        until(lambda: listed()["state"] == "sent", listed)
        assert len(mailbox.taken) == 1


@pytest.mark.parametrize("fault", ["untrusted", "no_starttls"])
def test_a_server_that_proves_nothing_gets_no_mail_and_no_password(
    fault: str, certificate: Certificate, tmp_path: Path
) -> None:
    context, code = (certificate.context, "tls") if fault == "untrusted" else (None, "server_unfit")
    with server(context) as (mailbox, port), issuer(tmp_path, port) as running:
        mail_id = queue_test_mail(tmp_path)

        def error() -> object:
            mails = running.operate("GET", "/mail").body["mail"]
            return next(mail["last_error"] for mail in mails if mail["id"] == mail_id)

        until(lambda: error() is not None, error)
        assert error() == code
        assert not mailbox.taken
