"""The Node.js example: it asks the sidecar, and passes on what the sidecar says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from conftest import World
from running import NODE, ROOT, Answer, Program, call, free_port, sidecar

SERVICE = ROOT / "examples" / "node_service" / "service.mjs"


def node_service(folder: Path, sidecar_url: str) -> tuple[Program, str]:
    """Start the example before the sidecar at `sidecar_url`; return it with its URL."""
    settings = {"QUEUE_SIDECAR_URL": sidecar_url, "PORT": "0"}
    program = Program([NODE, str(SERVICE)], env=settings, cwd=folder)
    return program, program.wait_for(r"listening on (\S+)").group(1)


@pytest.fixture(scope="module")
def url(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ExitStack() as stack:
        program, url = node_service(tmp_path_factory.mktemp("node"), world.sidecar_url)
        stack.callback(program.stop)
        yield url


def test_a_good_token_gets_the_session(world: World, url: str) -> None:
    answer = call("GET", f"{url}/me", token=world.issuer.mint(world.customer_id))
    assert (answer.status, answer.body["subject"]) == (200, world.customer_id)
    assert answer.body["roles"] == ["antlers-user"]


def test_a_refusal_is_that_of_the_sidecar(world: World, url: str) -> None:
    for token, status, error in (
        (None, 401, None),
        ("a.b.c", 401, 'error="invalid_token"'),
        ("two words", 400, 'error="invalid_request"'),
    ):
        answer = call("GET", f"{url}/me", token=token)
        direct = call("POST", f"{world.sidecar_url}/v1/validate", token=token)
        assert (answer.status, answer.code) == (status, direct.code), answer
        challenge = answer.headers["www-authenticate"]
        assert challenge == direct.headers["www-authenticate"]
        assert error is None or error in challenge
    assert call("GET", f"{url}/livez").status == 200
    assert call("GET", f"{url}/none").code == "route_not_found"


def test_a_missing_role_is_403(world: World, url: str) -> None:
    answer = call("GET", f"{url}/admin", token=world.issuer.mint(world.customer_id))
    assert (answer.status, answer.code) == (403, "claims_role_missing")
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_two_tokens_are_refused(world: World, url: str) -> None:
    token = world.issuer.mint(world.customer_id)
    port = int(url.rpartition(":")[2])
    line = f"Authorization: Bearer {token}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = f"GET /me HTTP/1.1\r\nHost: localhost\r\n{line}{line}Connection: close\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_no_verdict_is_503_and_never_a_way_in(world: World, tmp_path: Path) -> None:
    token = world.issuer.mint(world.customer_id)

    def ask(sidecar_url: str) -> Answer:
        program, url = node_service(tmp_path, sidecar_url)
        try:
            return call("GET", f"{url}/me", token=token)
        finally:
            assert program.stop() == 0

    down = ask(f"http://127.0.0.1:{free_port()}")
    assert (down.status, down.code) == (503, "sidecar_unavailable")
    assert down.headers["retry-after"] == "1"

    nowhere = f"http://127.0.0.1:{free_port()}/jwks.json"
    program, unready = sidecar(tmp_path, world.issuer, QUEUE_SIDECAR_JWKS=nowhere)
    try:
        answer = ask(unready)
        assert (answer.status, answer.code) == (503, "key_set_unavailable")
        assert answer.headers["retry-after"] == "1"
    finally:
        program.stop()

    # Whoever listens there instead is no sidecar.
    with closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        threading.Thread(target=_say_no, args=(stranger,), daemon=True).start()
        answer = ask(f"http://127.0.0.1:{stranger.getsockname()[1]}")
        assert (answer.status, answer.code) == (503, "sidecar_failed")


def _say_no(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with closing(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")


def test_connections_to_the_sidecar_are_kept(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as counter:
        accepted: list[socket.socket] = []

        def serve() -> None:
            connection, _ = counter.accept()
            accepted.append(connection)
            for _ in range(3):
                connection.recv(65536)
                body = b'{"subject":"somebody","roles":[]}'
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )

        threading.Thread(target=serve, daemon=True).start()
        program, url = node_service(tmp_path, f"http://127.0.0.1:{counter.getsockname()[1]}")
        try:
            for _ in range(3):
                assert call("GET", f"{url}/me", token="a.b.c").status == 200
        finally:
            program.stop()
        assert len(accepted) == 1


@pytest.mark.parametrize(
    "env", [{"QUEUE_SIDECAR_URL": "http://sidecar.example:4140"}, {"PORT": "many"}]
)
def test_a_wrong_setting_ends_with_64(env: dict[str, str], tmp_path: Path) -> None:
    program = Program([NODE, str(SERVICE)], env=env, cwd=tmp_path)
    with pytest.raises(RuntimeError, match="ended with 64:"):
        program.wait_for("listening")
