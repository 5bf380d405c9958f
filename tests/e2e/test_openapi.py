"""The documents of the interface, and what the issuer really answers to requests made from them.

About 7 800 requests, the same cases in every run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests
import schemathesis
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.schemas import BaseSchema

from callers import SERVICE_SCOPES, Callers
from running import ROOT, Issuer, free_port
from things import Things

REFERENCE = ROOT / "docs" / "reference"
DOCUMENTS = ["openapi.json", "openapi-operators.json"]
# A stream that is found has no end: it has a test of its own.
STREAM = "subscribeStatusList"
# No key of a test is old enough to sign, and none that signed is old enough to be taken away.
NOT_YET = {"activateKey", "retireKey"}
# Cases made at random for each operation, besides those that cover its schemas one rule at a time.
EXAMPLES = 10
LIMITS = {
    "AUTH": ("ADDRESS", "ACCOUNT", "PAIR"),
    "REFRESH": ("ADDRESS", "ACCOUNT", "PAIR"),
    "SERVICE": ("ADDRESS", "CLIENT"),
}
CONFIG = {
    "seed": 9457,
    "generation": {
        "deterministic": True,
        "max-examples": EXAMPLES,
        "database": "none",
        "with-security-parameters": False,
    },
    "output": {"sanitization": {"enabled": False}},
    "phases": {"stateful": {"enabled": False}},
    "checks": {
        # Whoever is admitted is chosen here, not there.
        "ignored_auth": {"enabled": False},
        "object_level_authorization": {"enabled": False},
        "use_after_free": {"enabled": False},
        "ensure_resource_availability": {"enabled": False},
        # What is valid depends on who asks and on what there is, which no schema says.
        "positive_data_acceptance": {"enabled": False},
        "missing_required_header": {"enabled": False},
    },
}


def attacked(name: str) -> BaseSchema:
    config = SchemathesisConfig.from_dict(CONFIG)
    return schemathesis.openapi.from_path(REFERENCE / name, config=config)


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
        if is_other_method or operation["operationId"] == STREAM:
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
        names = {one["name"] for one in case.operation.definition.raw.get("parameters", [])}
        is_bent = case.meta is not None and case.meta.is_negative_at(ParameterLocation.HEADER)
        page = self.callers.page if "X-Queue-CSRF" in names and not is_bent else {}
        headers = {**page, **caller}
        # Each by a connection of its own: one that was refused before its body was read is closed.
        answer = case.call_and_validate(base_url=url, headers=headers, timeout=30)
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
    limits |= {
        f"QUEUE_ISSUER_LIMIT_SERVICE_{whose}": "1000000/s" for whose in ("ADDRESS", "CLIENT")
    }
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


def test_stream_of_events_is_as_documented(world: World) -> None:
    path = f"/status-lists/{world.things.status_list()}/events"
    with requests.get(world.issuer.url + path, stream=True, timeout=30) as answer:
        assert answer.status_code == 200
        documented = public["/status-lists/{id}/events"]["GET"].definition.raw["responses"]
        assert [answer.headers["Content-Type"]] == list(documented["200"]["content"])
        lines = (line.decode() for line in answer.iter_lines())
        event = [next(lines) for _ in range(3)]
    assert [line.partition(":")[0] for line in event] == ["event", "id", "data"]
    world.answers[STREAM, 200] += 1


def test_export_is_the_whole_chain_in_lines(world: World) -> None:
    url = f"{world.issuer.ops_url}/api/v1/audit/export"
    headers = {"Authorization": f"Bearer {world.issuer.operator_token}"}
    answer = requests.get(url, headers=headers, timeout=60)
    assert answer.status_code == 200
    documented = operators["/api/v1/audit/export"]["GET"].definition.raw["responses"]
    assert [answer.headers["Content-Type"]] == list(documented["200"]["content"])
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) > world.sent / 10
    rest = requests.get(url, params={"after": lines[-2]["chain_seq"]}, headers=headers, timeout=60)
    assert len(rest.text.splitlines()) >= 1


def test_every_handler_was_reached(world: World) -> None:
    asked = {operation for operation, _ in world.answers}
    reached = {operation for operation, status in world.answers if status < 400}
    assert asked - reached == NOT_YET
    assert {status for _, status in world.answers if status >= 500} == set()
    assert len(asked) > 60
    assert world.sent > 5000
