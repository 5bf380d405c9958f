from __future__ import annotations

import socket
import threading
from http.client import HTTPConnection, IncompleteRead

import pytest

from mounted import OK, SHORT, Serve, make_app
from queue_verifier.cutover import Timeouts, UpstreamUnavailable
from raw import Behaviour, answering, exchange, serving


def refuses(_client: socket.socket) -> None:
    """Close at once."""


def drips(client: socket.socket) -> None:
    late = threading.Event()
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        client.sendall(b"x")
        late.wait(0.05)


@pytest.mark.parametrize(
    "behave",
    [
        refuses,
        lambda client: client.recv(1),
        drips,
        answering("SSH-2.0-OpenSSH_9"),
        answering("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade"),
        answering("HTTP/1.1 200 OK\n" + "\n".join(f"X-{n}: 1" for n in range(200))),
        answering("HTTP/1.1 200 OK\nX-Long: " + "x" * 70_000),
    ],
    ids=["closes", "hangs", "drips", "another protocol", "upgrades", "many headers", "long header"],
)
def test_queue_unavailable(serve: Serve, behave: Behaviour) -> None:
    client = make_app(serve(behave).url, timeouts=SHORT, max_exchanges=1).test_client()
    for _ in range(2):
        answer = client.get("/api/v1/auth/me")
        assert answer.status_code == 503
        assert answer.json["code"] == "queue_unavailable"  # type: ignore[index]
        assert answer.headers["Retry-After"] == "1"
        assert "127.0.0.1" not in answer.text


def test_queue_unavailable_when_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    answer = make_app(url).test_client().get("/api/v1/x")
    assert (answer.status_code, answer.json["code"]) == (503, "queue_unavailable")  # type: ignore[index]


def test_request_too_large(serve: Serve) -> None:
    issuer = serve(OK)
    client = make_app(issuer.url, max_body=10).test_client()
    assert client.post("/api/v1/x", data=b"x" * 10).status_code == 200
    answer = client.post("/api/v1/x", data=b"x" * 11)
    assert (answer.status_code, answer.json["code"]) == (413, "request_too_large")  # type: ignore[index]
    assert len(issuer.requests) == 1


def test_chunks_stay_chunks_and_are_counted(serve: Serve) -> None:
    issuer = serve(OK)
    head = b"POST /api/v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(make_app(issuer.url, max_body=10)) as address:
        answer = exchange(address, head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert answer.split(b" ", 2)[1] == b"200"
        assert issuer.requests[0].endswith(b"\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")
        answer = exchange(address, head + b"b\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n")
        assert answer.split(b" ", 2)[1] == b"413"


def test_early_refusal_of_a_body_arrives(serve: Serve) -> None:
    issuer = serve(answering("HTTP/1.1 413 Too Large\nContent-Length: 0"))
    # More than the two sockets hold: whoever sends it meets a closed connection.
    issuer.reads_bodies = False
    client = make_app(issuer.url, max_body=1 << 25).test_client()
    assert client.post("/api/v1/x", data=b"x" * (1 << 24)).status_code == 413


def test_events_arrive_one_by_one_and_past_the_total(serve: Serve) -> None:
    taken = threading.Event()

    def stream(client: socket.socket) -> None:
        client.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
        )
        assert taken.wait(10)
        client.sendall(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    app = make_app(serve(stream).url, timeouts=Timeouts(1, 5, 0.2))
    with serving(app) as (host, port):
        connection = HTTPConnection(host, port, timeout=10)
        connection.request("GET", "/api/v1/events")
        answer = connection.getresponse()
        assert answer.read1(100) == b"data: 1\n\n"
        threading.Event().wait(0.3)
        taken.set()
        assert answer.read() == b"data: 2\n\n"
        connection.close()


def test_other_bodies_end_with_the_total(serve: Serve) -> None:
    def stream(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        drip = threading.Event()
        for _ in range(1000):
            client.sendall(b"x")
            drip.wait(0.02)

    with serving(make_app(serve(stream).url, timeouts=Timeouts(1, 5, 0.3))) as (host, port):
        connection = HTTPConnection(host, port, timeout=10)
        connection.request("GET", "/api/v1/x")
        with pytest.raises(IncompleteRead):
            connection.getresponse().read()
        connection.close()


@pytest.mark.parametrize(
    "head", ["Content-Length: 10", "Transfer-Encoding: chunked"], ids=["length", "chunks"]
)
def test_a_body_that_breaks_off_is_cut(serve: Serve, head: str) -> None:
    broken = b"a\r\nabc" if "chunked" in head else b"abc"
    issuer = serve(answering(f"HTTP/1.1 200 OK\n{head}", broken))
    client = make_app(issuer.url, max_exchanges=1).test_client()
    for _ in range(2):
        # What the server does with it is to cut the connection.
        with pytest.raises(UpstreamUnavailable):
            client.get("/api/v1/x")


def test_exchanges_are_bounded(serve: Serve) -> None:
    held, go = threading.Event(), threading.Event()

    def hold(client: socket.socket) -> None:
        held.set()
        assert go.wait(10)
        OK(client)

    app = make_app(serve(hold).url, max_exchanges=1)
    answers: list[int] = []
    other = threading.Thread(
        target=lambda: answers.append(app.test_client().get("/api/v1/x").status_code)
    )
    other.start()
    assert held.wait(10)
    assert app.test_client().get("/api/v1/x").status_code == 503
    go.set()
    other.join()
    assert answers == [200]
    assert app.test_client().get("/api/v1/x").status_code == 200


def test_a_slow_body_holds_no_place(serve: Serve) -> None:
    app = make_app(serve(OK).url, max_exchanges=1)
    head = b"POST /api/v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    with serving(app) as address, socket.create_connection(address, timeout=10) as slow:
        slow.sendall(head + b"ab")
        for _ in range(3):
            assert exchange(address, head + b"abcd").split(b" ", 2)[1] == b"200"
        slow.sendall(b"cd")
        assert slow.recv(100).split(b" ", 2)[1] == b"200"
