from __future__ import annotations

import subprocess
import sys

import pytest

import queue_verifier
from queue_verifier import cutover


def modules_after(code: str) -> set[str]:
    script = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)  # noqa: S603
    return set(done.stdout.decode().split())


def test_importing_is_cheap() -> None:
    """What costs most of an import's time is other modules: none but those named here."""
    modules = modules_after("import queue_verifier") - modules_after(
        "import __future__, dataclasses, typing, weakref, collections.abc"
    )
    ours = {name for name in modules if name.partition(".")[0] == "queue_verifier"}
    assert modules == ours
    rooms = {name.partition(".")[2] for name in ours} - {""}
    assert rooms == {"_native", "backend", "embedded", "errors", "issuer", "session"}


@pytest.mark.parametrize("integration", ["flask", "fastapi", "asgi", "django"])
def test_an_integration_imports_its_own_framework_only(integration: str) -> None:
    modules = modules_after(f"import queue_verifier.integrations.{integration}")
    frameworks = {"flask", "fastapi", "starlette", "django", "gevent", "pytest"} & modules
    wanted = {"fastapi": {"fastapi", "starlette"}, "asgi": set()}
    assert frameworks == wanted.get(integration, {integration})


def test_sidecar_needs_the_standard_library_only() -> None:
    before = modules_after("pass")
    added = modules_after("from queue_verifier import SidecarVerifier") - before
    foreign = {name.partition(".")[0] for name in added} - sys.stdlib_module_names
    assert foreign == {"queue_verifier"}


def test_the_cutover_needs_flask_for_its_blueprint_only() -> None:
    modules = modules_after("from queue_verifier import cutover; cutover.DualMode")
    assert not {"flask", "psycopg", "psycopg2"} & modules
    assert "flask" in modules_after("from queue_verifier.cutover import queue_blueprint")
    for name in cutover.__all__:
        assert getattr(cutover, name).__class__ is not None
    with pytest.raises(AttributeError):
        _ = cutover.nothing


def test_everything_in_all_is_there() -> None:
    for name in queue_verifier.__all__:
        assert getattr(queue_verifier, name).__class__ is not None
    assert len(queue_verifier.__all__) == len(set(queue_verifier.__all__)) <= 15
    with pytest.raises(AttributeError):
        _ = queue_verifier.nothing
