"""What every proxy has to pass; a file of tests for each proxy has the suite and its `Kind`."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from . import table
from .cases import CASES, FORGED, GOOD, LET_IN, REFUSED, Case
from .proxy import Kind, Proxy
from .raw import Reply, exchange, head
from .service import Seen, folded
from .world import World, claims, eventually


class Suite:
    """Tests of one proxy."""

    kind: ClassVar[Kind]

    @pytest.fixture(scope="class")
    @classmethod
    def proxy(cls, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
        folder: Path = tmp_path_factory.mktemp(cls.kind.name.replace(" ", "_"))
        # Some drop root, and read their files after it.
        folder.chmod(0o755)
        proxy = Proxy(cls.kind, world, folder)
        try:
            eventually(lambda: exchange(proxy.port, GOOD.request(world)).status == 200)
            world.service.take()
            yield proxy
        finally:
            world.to_issuer.lead_to(world.issuer.url)
            world.to_sidecar.lead_to(world.ready_url)
            proxy.program.stop()

    def test_nobody_is_let_in_who_should_not_be(self, proxy: Proxy, world: World) -> None:
        outcomes: dict[str, str] = {}
        wrong: list[str] = []
        for case in CASES:
            outcome, complaints = self.judge(proxy, world, case)
            outcomes[case.name] = outcome
            wrong += [f"{case.name} ({outcome}): {complaint}" for complaint in complaints]
        outcomes |= self.states(proxy, world)
        assert not wrong, "\n".join(wrong)
        table.is_documented(self.kind.name, outcomes)

    def judge(self, proxy: Proxy, world: World, case: Case) -> tuple[str, list[str]]:
        """Send the request; return how it ended, and what is wrong with that."""
        world.service.take()
        reply = exchange(proxy.port, case.request(world))
        seen = world.service.take()
        must = self.kind.differs.get(case.name, case.must)
        complaints = [text for one in seen for text in self.complaints(world, case, one)]
        if must == REFUSED and (seen or reply.status is None or reply.status < 400):
            complaints.append(f"was not refused: {reply}")
        if must == LET_IN and (reply.status != 200 or len(seen) != 1):
            complaints.append(f"was not let in: {reply}")
        return _outcome(reply), complaints

    def complaints(self, world: World, case: Case, seen: Seen) -> list[str]:
        """What is wrong with a request that reached the service: always nothing."""
        wrong = []
        identity = [field for field in seen.fields if folded(field[0]).startswith("x-queue-")]
        if any(FORGED in value for _, value in identity):
            wrong.append(f"a forged header came through: {identity}")
        if re.match(r"/public(/|$)", seen.meant):
            return wrong + ([f"somebody at {seen.target}"] if any(v for _, v in identity) else [])
        allowed = ["good", "admin"]
        if self.kind.differs.get(case.name) == LET_IN:
            allowed += ["kind", "revoked"]
        if re.match(r"/admin(/|$)", seen.meant):
            allowed = ["admin"]
        tokens = [f"Bearer {world.tokens[kind]}" for kind in allowed]
        sent = seen.get("authorization")
        if len(sent) != 1 or sent[0] not in tokens:
            kinds = [kind for kind, token in world.tokens.items() if f"Bearer {token}" in sent]
            wrong.append(f"no right to {seen.target}: {kinds} of {len(sent)}")
        if seen.get("x-queue-subject") != [world.customer_id]:
            wrong.append(f"nobody knows who it is: {identity}")
        if self.kind.asks_sidecar and sent:
            session = claims(sent[0].removeprefix("Bearer "))
            told = {
                "x-queue-session": session["sid"],
                "x-queue-tenant": session["tenant_id"],
                "x-queue-roles": ",".join(session["roles"]),
                "x-queue-client": session["client_id"],
            }
            if not self.kind.tells_roles:
                del told["x-queue-roles"]
            for name, value in told.items():
                if seen.get(name) != [value]:
                    wrong.append(f"{name} is {seen.get(name)}, not {value}")
        return wrong

    def states(self, proxy: Proxy, world: World) -> dict[str, str]:
        """Take away the issuer, then the sidecar; bring them back."""
        good = GOOD.request(world)
        outcomes: dict[str, str] = {}

        def ask(state: str) -> Reply:
            world.service.take()
            reply = exchange(proxy.port, good)
            outcomes[state] = _outcome(reply)
            return reply

        world.to_issuer.close()
        try:
            assert ask("the issuer is down").status == 200
        finally:
            world.to_issuer.lead_to(world.issuer.url)
        if not self.kind.asks_sidecar:
            return outcomes
        try:
            for state in ("the sidecar is down", "the sidecar is not ready"):
                if state == "the sidecar is down":
                    world.to_sidecar.close()
                else:
                    world.to_sidecar.lead_to(world.unready_url)
                if remembered := self.kind.remembers_seconds:
                    eventually(lambda: exchange(proxy.port, good).status != 200, remembered)
                reply = ask(state)
                assert world.service.take() == [], state
                if state in self.kind.differs:
                    assert outcomes[state] == self.kind.differs[state], reply
                else:
                    assert (reply.status, reply.get("retry-after")) == (503, ["1"]), (state, reply)
        finally:
            world.to_sidecar.lead_to(world.ready_url)
        eventually(lambda: exchange(proxy.port, good).status == 200)
        return outcomes

    def test_a_refusal_says_how_to_be_let_in(self, proxy: Proxy) -> None:
        reply = exchange(proxy.port, head("GET", "/me", []))
        (challenge,) = reply.get("www-authenticate")
        assert challenge.split(" ")[0] == "Bearer", challenge

    def test_a_slow_client_holds_nobody_up(self, proxy: Proxy, world: World) -> None:
        slow = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(20)]
        for connection in slow:
            connection.sendall(b"GET /me HTTP/1.1\r\nHost: service.example\r\nX-Slow: ")
        reply = exchange(proxy.port, GOOD.request(world))
        for connection in slow:
            with closing(connection):
                pass
        assert reply.status == 200

    def test_the_log_has_no_token(self, proxy: Proxy, world: World) -> None:
        assert exchange(proxy.port, GOOD.request(world)).status == 200
        log = "".join(proxy.program.lines)
        signatures = [token.rpartition(".")[2] for token in world.tokens.values()]
        assert not [part for part in signatures if part and part in log]


def _outcome(reply: Reply) -> str:
    return "closed" if reply.status is None else str(reply.status)
