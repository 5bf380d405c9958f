"""The documents of the interface, and what the issuer really answers to requests made from them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from callers import SERVICE_SCOPES, Callers
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.config import SchemathesisConfig
from things import Things

from running import ROOT, Issuer, call, free_port

REFERENCE = ROOT / "docs" / "reference"
DOCUMENTS = ["openapi.json", "openapi-operators.json"]
# Streams without an end, and lines without a schema: they have tests of their own.
APART = ["subscribeStatusList", "exportAudit"]
# Verifiers come first: no key of a test is old enough to sign, and none that signed to be taken away.
NOT_YET = {"activateKey", "retireKey"}
EXAMPLES = 10
CONFIG = {
    "seed": 9457,
    "generation": {
        "deterministic": True,
        "max-examples": EXAMPLES,
        "database": "none",
        "with-security-parameters": False,
    },
    "phases": {"stateful": {"enabled": False}},
    "checks": {
        # Whoever is admitted is chosen here, not there.
        "ignored_auth": {"enabled": False},
        "object_level_authorization": {"enabled": False},
        "use_after_free": {"enabled": False},
        "ensure_resource_availability": {"enabled": False},
        "positive_data_acceptance": {"enabled": False},
        "missing_required_header": {"enabled": False},
        "negative_data_rejection": {"enabled": False},
    },
}


def attacked(name: str) -> Any:
    config = SchemathesisConfig.from_dict(CONFIG)
    schema = schemathesis.openapi.from_path(REFERENCE / name, config=config)
    return schema.exclude(operation_id=APART)


public, operators = (attacked(name) for name in DOCUMENTS)


class World:
    """An issuer under attack, and what came of it."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.sent = 0
        self.answers: Counter[tuple[str, int]] = Counter()
        self.callers = Callers(issuer, self._signed_in)
        self.things = Things(self.callers)

    def _signed_in(self, path: str, answer: requests.Response) -> None:
        """Check an answer to a real passkey, which no case can make up."""
        operation = public[path]["POST"]
        operation.validate_response(answer)
        self._count(operation, answer.status_code)

    def _count(self, operation: Any, status: int) -> None:
        self.sent += 1
        self.answers[operation.definition.raw["operationId"], status] += 1

    def attack(self, case: Any, url: str) -> None:
        """Send the case as nobody and as everybody whom the operation admits, then what exists."""
        operation = case.operation.definition.raw
        schemes = [list(one) for one in operation["security"]]
        callers = [
            caller
            for scheme in schemes
            for name in scheme
            for caller in self.callers.admitted_by(name, operators=url == self.issuer.ops_url)
        ]
        is_other_method = case.method.upper() != case.operation.method.upper()
        is_open = is_other_method or not schemes or [] in schemes
        self._send(case, url, {}, is_admitted=is_open)
        for caller in callers:
            self._send(case, url, caller)
        if is_other_method:
            return
        for caller in callers or [{}]:
            self._send(self._alive(case), url, caller)

    def _alive(self, case: Any) -> Any:
        path = case.operation.path
        headers = dict(case.headers or {})
        body = self.things.in_body(case.body)
        if isinstance(body, dict) and "challenge_id" in body:
            body["challenge_id"], headers["Cookie"] = self.callers.customer.challenge()
        return case.operation.Case(
            method=case.method,
            path_parameters={
                name: self.things.in_path(path, name) for name in case.path_parameters or {}
            },
            headers=headers,
            query=self.things.in_query(case.query),
            body=body,
            media_type=case.media_type,
        )

    def _send(
        self, case: Any, url: str, caller: Mapping[str, str], *, is_admitted: bool = True
    ) -> None:
        names = {name.lower() for name in case.headers or {}}
        page = self.callers.page if "x-queue-csrf" in names else {}
        headers = {**page, **caller}
        answer = case.call_and_validate(
            base_url=url, session=self.callers.http, headers=headers, timeout=30
        )
        self._count(case.operation, answer.status_code)
        assert is_admitted or answer.status_code >= 400, f"{case.operation.label} admits anybody"
        if answer.status_code == 401 and b"access_token_invalid" in answer.content:
            self.callers.begin_anew()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    address = f"127.0.0.1:{free_port()}"
    url = f"http://localhost:{address.rpartition(':')[2]}"
    limits = {
        f"QUEUE_ISSUER_LIMIT_{kind}_{whose}": "1000000/s"
        for kind in ("AUTH", "REFRESH")
        for whose in ("ADDRESS", "ACCOUNT", "PAIR")
    }
    limits |= {f"QUEUE_ISSUER_LIMIT_SERVICE_{whose}": "1000000/s" for whose in ("ADDRESS", "CLIENT")}
    issuer = Issuer(
        tmp_path_factory.mktemp("openapi"),
        QUEUE_ISSUER_LISTEN=address,
        QUEUE_ISSUER_URL=url,
        QUEUE_SERVICE_SCOPES_RAPTOR=SERVICE_SCOPES,
        **limits,
    )
    try:
        yield World(issuer)
    finally:
        issuer.program.stop()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_is_openapi_3_1(name: str) -> None:
    document = json.loads((REFERENCE / name).read_text())
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


@public.parametrize()
def test_public_listener_answers_as_documented(case: Any, world: World) -> None:
    world.attack(case, world.issuer.url)


@operators.parametrize()
def test_operators_listener_answers_as_documented(case: Any, world: World) -> None:
    world.attack(case, world.issuer.ops_url)


def test_every_handler_was_reached(world: World) -> None:
    print(f"{world.sent} requests")
    attacked = {id for id, _ in world.answers}
    reached = {id for id, status in world.answers if status < 400}
    assert attacked - reached == NOT_YET
    assert {status for _, status in world.answers if status >= 500} == set()
    assert len(attacked) > 60
