from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import AUDIENCE, ISSUER, NOW, FakeSidecar, KeyServer, SigningKey
from mounted import Serve
from queue_verifier import Backend, SidecarVerifier, Verifier
from raw import Behaviour, RawServer


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return SigningKey()


@pytest.fixture(scope="session")
def other_key() -> SigningKey:
    return SigningKey()


@pytest.fixture
def verifier(key: SigningKey) -> Iterator[Verifier]:
    with Verifier(ISSUER, AUDIENCE, jwks=key.jwks, clock=lambda: NOW) as verifier:
        yield verifier


@pytest.fixture
def key_server(key: SigningKey) -> Iterator[KeyServer]:
    with KeyServer(key.jwks) as server:
        assert isinstance(server, KeyServer)
        yield server
        server.gate.set()


@pytest.fixture
def sidecar(verifier: Verifier) -> Iterator[FakeSidecar]:
    with FakeSidecar(verifier) as server:
        assert isinstance(server, FakeSidecar)
        yield server


@pytest.fixture(params=["embedded", "sidecar"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The two transports, one behaviour."""
    if request.param == "embedded":
        yield request.getfixturevalue("verifier")
        return
    server: FakeSidecar = request.getfixturevalue("sidecar")
    with SidecarVerifier(server.url) as verifier:
        yield verifier


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[RawServer] = []

    def start(behave: Behaviour) -> RawServer:
        servers.append(RawServer(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
