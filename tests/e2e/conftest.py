from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

# The browser that the example of Antlers comes with.
sys.path.append(str(Path(__file__).resolve().parents[2] / "examples" / "antlers"))

from queue_verifier import Verifier
from running import Issuer, Program, axum_service, flask_service, sidecar

# A verifier may keep a set for a minute whatever the issuer says, and the issuer knows: this is the
# shortest time between a key's publication and its first signature.
SHORT_LEAD = {
    "QUEUE_ISSUER_JWKS_MAX_AGE": "1s",
    "QUEUE_ISSUER_REFRESH_ALLOWANCE": "59s",
    "QUEUE_ISSUER_LEEWAY": "0s",
    "QUEUE_ISSUER_STATUS_LIST_TTL": "1s",
}


@dataclass(frozen=True)
class World:
    """An issuer and everybody who checks its tokens."""

    issuer: Issuer
    customer_id: str
    sidecar_url: str
    axum_url: str
    flask_url: str
    verifier: Verifier
    programs: list[Program]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("world")
    with ExitStack() as stack:
        issuer = Issuer(folder, **SHORT_LEAD)
        stack.callback(issuer.program.stop)
        programs = [issuer.program]
        urls = []
        for start in (sidecar, axum_service, flask_service):
            program, url = start(folder, issuer)
            stack.callback(program.stop)
            programs.append(program)
            urls.append(url)
        verifier = stack.enter_context(Verifier(issuer.name, "raptor", jwks_uri=issuer.jwks_uri))
        assert verifier.ready(30)
        sidecar_url, axum_url, flask_url = urls
        customer_id = issuer.customer("customer@example.com")
        yield World(issuer, customer_id, sidecar_url, axum_url, flask_url, verifier, programs)
