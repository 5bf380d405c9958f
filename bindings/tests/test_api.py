"""What every transport promises, and what each promises alone."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from harness import AUDIENCE, CLAIMS, ISSUER, NOW, FakeSidecar, KeyServer, SigningKey, code_of
from queue_verifier import (
    Backend,
    ConfigError,
    InvalidRequest,
    InvalidToken,
    KeysUnavailable,
    Session,
    SidecarVerifier,
    Verifier,
    VerifyError,
)


def test_session(backend: Backend, key: SigningKey) -> None:
    session = backend.validate_session(key.mint())
    assert session.subject == CLAIMS["sub"]
    assert session.roles == ("antlers-user",)
    assert session.freshness.key_set == "fresh"


def test_token_as_bytes(backend: Backend, key: SigningKey) -> None:
    assert backend.validate_session(key.mint().encode()).issuer == ISSUER


def test_refused_by_code(backend: Backend, key: SigningKey, other_key: SigningKey) -> None:
    head, payload, signature = key.mint().split(".")
    assert code_of(backend, "") == "token_malformed"
    assert code_of(backend, "a.b") == "token_malformed"
    assert code_of(backend, key.mint(exp=NOW - 30)) == "claims_expired"
    assert code_of(backend, key.mint(aud="velvet")) == "claims_aud_mismatch"
    assert code_of(backend, f"{head}.{payload}.{'A' * len(signature)}") == "signature_invalid"
    assert code_of(backend, other_key.mint()) == "key_not_found"


@pytest.mark.parametrize(
    "token",
    [
        "é.é.é",
        "\ud800.a.b",
        "eyJ\x00.a.b",
        b"\xff.\xff.\xff",
        b"\x00\x01.\x80.b",
        "\N{SNAKE}" * 100,
    ],
)
def test_text_that_is_no_token(backend: Backend, token: str | bytes) -> None:
    assert code_of(backend, token) == "token_malformed"


def test_bytes_that_are_no_text_within_a_token(backend: Backend, key: SigningKey) -> None:
    assert code_of(backend, key.mint().encode() + b"\xff") == "token_malformed"


def test_token_too_large(backend: Backend) -> None:
    limit = 16 * 1024
    assert code_of(backend, b"\xff" * (limit + 1)) == "token_too_large"
    assert code_of(backend, "a" * (limit + 1)) == "token_too_large"
    assert code_of(backend, b"\xff" * limit) == "token_malformed"
    assert code_of(backend, "a" * limit) == "token_malformed"
    assert code_of(backend, "\x00" * limit) == "token_malformed"
    assert code_of(backend, '"' * (1024 * limit)) == "token_too_large"


@pytest.mark.parametrize("token", [None, 7, ["a"], bytearray(b"a.b.c")])
def test_other_types_are_a_mistake_of_the_caller(backend: Backend, token: Any) -> None:
    with pytest.raises(TypeError):
        backend.validate_session(token)


def test_status_ready_refresh(backend: Backend) -> None:
    assert backend.ready(1.0)
    backend.refresh()
    status = backend.status()
    (issuer,) = status["issuers"]
    assert issuer["issuer"] == ISSUER
    assert [entry["algorithm"] for entry in issuer["keys"]] == ["RS256"]
    assert isinstance(backend, Backend)


def test_closed_refuses(backend: Backend, key: SigningKey) -> None:
    backend.close()
    with pytest.raises(KeysUnavailable):
        backend.validate_session(key.mint())
    assert not backend.ready(0.1)
    backend.close()


@pytest.mark.parametrize("source", ["jwks", "jwks_text", "jwks_file", "public_key"])
def test_key_sources(source: str, key: SigningKey, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(key.jwks))
    sources: dict[str, dict[str, Any]] = {
        "jwks": {"jwks": key.jwks},
        "jwks_text": {"jwks": json.dumps(key.jwks)},
        "jwks_file": {"jwks_file": file},
        "public_key": {"public_key": key.pem.encode()},
    }
    audiences = [AUDIENCE, "other"]
    with Verifier(ISSUER, audiences, clock=lambda: NOW, **sources[source]) as verifier:
        assert verifier.validate_session(key.mint()).audience == (AUDIENCE,)


def test_keys_from_the_network(key: SigningKey, key_server: KeyServer) -> None:
    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        # Not ready yet perhaps: then the call waits for the fetch under way.
        assert verifier.validate_session(key.mint()).issuer == ISSUER
        assert verifier.ready(10)
        for _ in range(100):
            verifier.validate_session(key.mint())
    assert len(key_server.requests) == 1


def test_discovery(key: SigningKey, key_server: KeyServer) -> None:
    with Verifier(key_server.url, AUDIENCE, clock=lambda: NOW) as verifier:
        assert verifier.ready(10)
        token = key.mint(iss=key_server.url)
        assert verifier.validate_session(token).issuer == key_server.url


def test_rotation_is_followed(
    key: SigningKey, other_key: SigningKey, key_server: KeyServer
) -> None:
    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        assert verifier.ready(10)
        key_server.jwks = {"keys": [key.jwk, other_key.jwk]}
        assert verifier.validate_session(other_key.mint()).issuer == ISSUER
    assert len(key_server.requests) == 2


def test_refresh_that_fails_keeps_the_keys(key: SigningKey, key_server: KeyServer) -> None:
    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        assert verifier.ready(10)
        key_server.status = 500
        with pytest.raises(KeysUnavailable) as caught:
            verifier.refresh()
        assert caught.value.code == "key_set_unavailable"
        assert verifier.validate_session(key.mint()).issuer == ISSUER
        assert verifier.status()["issuers"][0]["refresh"]["failures_in_a_row"] == 1


def test_keys_that_never_come(key: SigningKey, key_server: KeyServer) -> None:
    key_server.status = 503
    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        assert code_of(verifier, key.mint()) == "key_set_unavailable"
        assert not verifier.ready(0.01)


def test_waiting_releases_the_gil(
    key: SigningKey, other_key: SigningKey, key_server: KeyServer
) -> None:
    with Verifier(ISSUER, AUDIENCE, jwks_uri=key_server.jwks_uri, clock=lambda: NOW) as verifier:
        assert verifier.ready(10)
        assert key_server.asked.acquire(timeout=10)
        key_server.jwks = {"keys": [key.jwk, other_key.jwk]}
        key_server.gate.clear()
        issuers: list[str] = []
        waiting = threading.Thread(
            target=lambda: issuers.append(verifier.validate_session(other_key.mint()).issuer)
        )
        waiting.start()
        # The fetch hangs until this very thread opens the gate, which it could not while the
        # other held the GIL; tokens of known keys pass meanwhile.
        assert key_server.asked.acquire(timeout=10)
        assert verifier.validate_session(key.mint()).issuer == ISSUER
        assert not issuers
        key_server.gate.set()
        waiting.join(10)
        assert issuers == [ISSUER]


def test_many_threads(verifier: Verifier, key: SigningKey) -> None:
    token = key.mint()
    sessions: list[Session] = []

    def work() -> None:
        sessions.extend(verifier.validate_session(token) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sessions) == 400
    assert all(session.claims == sessions[0].claims for session in sessions)


def test_sidecar_connections_are_kept(sidecar: FakeSidecar, key: SigningKey) -> None:
    with SidecarVerifier(sidecar.url) as backend:
        for _ in range(20):
            backend.validate_session(key.mint())
    assert sidecar.connections == 1


def test_sidecar_closed_a_kept_connection(sidecar: FakeSidecar, key: SigningKey) -> None:
    with SidecarVerifier(sidecar.url) as backend:
        sidecar.override = lambda _: (401, {"Connection": "close"}, b'{"code":"claims_expired"}')
        assert code_of(backend, key.mint()) == "claims_expired"
        sidecar.override = None
        assert backend.validate_session(key.mint()).issuer == ISSUER
        assert sidecar.connections == 2


def test_sidecar_away(key: SigningKey) -> None:
    with SidecarVerifier("http://127.0.0.1:1") as backend:
        assert code_of(backend, key.mint()) == "sidecar_unavailable"
        assert not backend.ready(0.05)
    with SidecarVerifier("unix:/nonexistent.sock") as backend:
        assert code_of(backend, key.mint()) == "sidecar_unavailable"


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (200, b"{}", KeysUnavailable, "sidecar_unavailable"),
        (200, b"", KeysUnavailable, "sidecar_unavailable"),
        (200, b"[1]", KeysUnavailable, "sidecar_unavailable"),
        (204, b"", KeysUnavailable, "sidecar_unavailable"),
        (302, b"", KeysUnavailable, "sidecar_unavailable"),
        (404, b'{"code":"not_found"}', KeysUnavailable, "sidecar_unavailable"),
        (403, b'{"code":"host_not_allowed"}', KeysUnavailable, "sidecar_unavailable"),
        (500, b"oops", KeysUnavailable, "sidecar_unavailable"),
        (503, b'{"code":"overloaded"}', KeysUnavailable, "sidecar_unavailable"),
        (503, b'{"code":"key_set_unavailable"}', KeysUnavailable, "key_set_unavailable"),
        (401, b'{"code":"status_revoked","detail":"d"}', InvalidToken, "status_revoked"),
        (401, b'{"code":7}', KeysUnavailable, "sidecar_unavailable"),
        (400, b'{"code":"bearer_malformed"}', InvalidRequest, "bearer_malformed"),
    ],
)
def test_sidecar_answers(
    sidecar: FakeSidecar, status: int, body: bytes, kind: type[VerifyError], code: str
) -> None:
    sidecar.override = lambda _: (status, {}, body)
    with SidecarVerifier(sidecar.url) as backend, pytest.raises(kind) as caught:
        backend.validate_session("a.b.c")
    assert caught.value.code == code


def test_sidecar_session_of_the_wrong_shape(sidecar: FakeSidecar) -> None:
    fresh = {"key_set": "fresh", "key_set_age": 0, "status": "absent", "status_age": None}
    session: dict[str, Any] = {
        **dict.fromkeys(("subject", "client_id", "session_id", "token_id", "tenant_id", "acr")),
        **dict.fromkeys(("auth_time", "issued_at", "authz_ver")),
        **{name: [] for name in ("audience", "roles", "scope", "amr")},
        "issuer": ISSUER,
        "expires_at": NOW,
        "claims": {},
        "freshness": {**fresh, "cached": False},
    }
    with SidecarVerifier(sidecar.url) as backend:
        sidecar.override = lambda _: (200, {}, json.dumps(session).encode())
        assert backend.validate_session("a.b.c").issuer == ISSUER
        changes: list[dict[str, Any]] = [
            {"subject": 7},
            {"expires_at": "soon"},
            {"roles": "admin"},
            {"roles": [1]},
            {"claims": None},
            {"freshness": {}},
            {"issuer": None},
            {"more": 1},
        ]
        for change in changes:
            answer = json.dumps({**session, **change}).encode()
            sidecar.override = lambda _, answer=answer: (200, {}, answer)  # type: ignore[misc]
            assert code_of(backend, "a.b.c") == "sidecar_unavailable", change


def test_sidecar_late(sidecar: FakeSidecar) -> None:
    gate = threading.Event()

    def hang(_: str) -> tuple[int, dict[str, str], bytes]:
        gate.wait(10)
        return 200, {}, b"{}"

    sidecar.override = hang
    with SidecarVerifier(sidecar.url, timeout=0.05) as backend:
        assert code_of(backend, "a.b.c") == "sidecar_unavailable"
    gate.set()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:4140",
        "https://127.0.0.1:4140",
        "http://192.0.2.1:4140",
        "http://sidecar.example.test",
        "http://127.0.0.1:4140/v1",
        "http://127.0.0.1:99999",
        "http://user@127.0.0.1:4140",
        "http://",
        "unix:relative",
        "unix:",
    ],
)
def test_sidecar_address(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SidecarVerifier(url)
    assert caught.value.code == "config_sidecar_url_invalid"
