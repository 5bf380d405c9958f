"""pytest plugin: a forge of session tokens, and the verifier that takes them.

def test_invoices(queue_forge, queue_verifier):
    client = make_app(queue_verifier).test_client()
    assert client.get("/invoices", headers=queue_forge.headers(roles="billing")).status_code == 200

Installed with the package; needs the extra `queue-verifier[testing]` where a fixture is used.
pytest's settings `queue_issuer` and `queue_audience` say whose tokens the forge mints, for whom.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .embedded import Verifier
    from .testing import Forge

__all__ = ["pytest_addoption", "queue_forge", "queue_verifier"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the settings."""
    parser.addini("queue_issuer", "iss of forged tokens", default="https://auth.example.test")
    parser.addini("queue_audience", "aud of forged tokens", default="service")


@pytest.fixture(scope="session")
def _queue_key() -> Any:
    from .testing import make_key

    return make_key()


@pytest.fixture
def queue_forge(_queue_key: Any, pytestconfig: pytest.Config) -> Forge:
    """A forge of this test alone: set its clock and its claims as you like."""
    from .testing import Forge

    issuer, audience = pytestconfig.getini("queue_issuer"), pytestconfig.getini("queue_audience")
    return Forge(issuer, audience, private=_queue_key)


@pytest.fixture
def queue_verifier(queue_forge: Forge) -> Iterator[Verifier]:
    """A verifier of the forge's tokens, by the forge's clock."""
    with queue_forge.verifier() as verifier:
        yield verifier
