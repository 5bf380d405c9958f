"""Envoy: ext_authz over gRPC and over HTTP, and its own `jwt_authn`."""

from __future__ import annotations

from .cases import LET_IN
from .proxy import ENVOY, Kind
from .suite import Suite

QUIET = ["--log-level", "warning", "--use-dynamic-base-id", "--concurrency", "1"]
# Its own answer, when it has none of the sidecar.
NO_RETRY_AFTER = {"the sidecar is down": "503"}


class TestExtAuthzGrpc(Suite):
    kind = Kind(
        name="Envoy gRPC",
        folder="envoy",
        command=[ENVOY, *QUIET, "-c", "{folder}/ext_authz_grpc.yaml"],
        differs=NO_RETRY_AFTER,
    )


class TestExtAuthzHttp(Suite):
    kind = Kind(
        name="Envoy HTTP",
        folder="envoy",
        command=[ENVOY, *QUIET, "-c", "{folder}/ext_authz_http.yaml"],
        # Over HTTP any 5xx is an error to it, and its answer is dropped.
        differs={**NO_RETRY_AFTER, "the sidecar is not ready": "503"},
    )


class TestJwtAuthn(Suite):
    kind = Kind(
        name="Envoy jwt_authn",
        folder="envoy",
        command=[ENVOY, *QUIET, "-c", "{folder}/jwt_authn.yaml"],
        differs={"a token of a revoked session": LET_IN, "a token of another kind": LET_IN},
        asks_sidecar=False,
    )
