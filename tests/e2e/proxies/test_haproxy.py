"""HAProxy: asking the sidecar from Lua, and with its own `jwt_verify`."""

from __future__ import annotations

from .cases import LET_IN, REFUSED
from .proxy import Kind
from .suite import Suite


class TestHaproxy(Suite):
    kind = Kind(
        name="HAProxy",
        folder="haproxy",
        command=["haproxy", "-db", "-f", "{folder}/haproxy.cfg"],
    )


class TestJwtVerify(Suite):
    kind = Kind(
        name="HAProxy jwt_verify",
        folder="haproxy",
        command=["haproxy", "-db", "-f", "{folder}/jwt_verify.cfg"],
        differs={"a token of a revoked session": LET_IN, "/admin with the role": REFUSED},
        asks_sidecar=False,
    )
