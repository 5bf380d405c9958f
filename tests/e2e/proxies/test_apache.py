"""Apache httpd with mod_oauth2: asking the sidecar by introspection, and by the JWK Set alone."""

from __future__ import annotations

from .cases import LET_IN
from .proxy import Kind
from .suite import Suite

COMMAND = ["apache2", "-d", "{folder}", "-f", "{folder}/httpd.conf", "-DFOREGROUND"]


class TestApache(Suite):
    kind = Kind(
        name="Apache",
        folder="apache",
        command=COMMAND,
        # Not a setting of it: who is not told that a token is good says that it is bad.
        differs={"the sidecar is down": "401", "the sidecar is not ready": "401"},
        remembers_seconds=2,
        tells_roles=False,
    )


class TestApacheJwks(Suite):
    kind = Kind(
        name="Apache JWKS",
        folder="apache",
        command=[*COMMAND, "-DJwks"],
        differs={"a token of a revoked session": LET_IN, "a token of another kind": LET_IN},
        asks_sidecar=False,
    )
