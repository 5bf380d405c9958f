"""The sidecar's unix socket from Python: the same verdicts, and nothing when it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from queue_verifier import InvalidToken, KeysUnavailable, SidecarVerifier
from running import BINARIES, Issuer, Program, sidecar


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    issuer = Issuer(tmp_path)
    yield issuer
    issuer.program.stop()


def test_the_socket_gives_the_verdicts_of_the_port(issuer: Issuer, tmp_path: Path) -> None:
    path = tmp_path / "s"
    program, url = sidecar(tmp_path, issuer, QUEUE_SIDECAR_SOCKET=str(path))
    try:
        with SidecarVerifier(f"unix:{path}") as by_socket, SidecarVerifier(url) as by_port:
            assert by_socket.ready(30)
            token = issuer.mint(issuer.customer("customer@example.com"))
            session = by_socket.validate_session(token)
            assert session.subject == by_port.validate_session(token).subject
            with pytest.raises(InvalidToken) as refused:
                by_socket.validate_session(token[:-4])
            assert refused.value.code == "token_malformed"
    finally:
        assert program.stop() == 0
    assert not path.exists()


def test_a_user_who_may_not_use_the_socket_gets_no_verdict(issuer: Issuer, tmp_path: Path) -> None:
    path = tmp_path / "s"
    settings = {
        "QUEUE_SIDECAR_LISTEN": "none",
        "QUEUE_SIDECAR_SOCKET": str(path),
        "QUEUE_SIDECAR_SOCKET_ALLOW_UID": "4242424",
        "QUEUE_SIDECAR_ISSUER": issuer.name,
        "QUEUE_SIDECAR_AUDIENCE": "raptor",
        "QUEUE_SIDECAR_JWKS": issuer.jwks_uri,
    }
    program = Program([str(BINARIES / "queue-sidecar")], env=settings, cwd=tmp_path)
    try:
        program.wait_for("listening path=")
        with SidecarVerifier(f"unix:{path}") as verifier:
            token = issuer.mint(issuer.customer("customer@example.com"))
            with pytest.raises(KeysUnavailable) as refused:
                verifier.validate_session(token)
            assert refused.value.code == "sidecar_unavailable"
    finally:
        program.stop()
