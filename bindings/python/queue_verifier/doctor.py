"""`python -m queue_verifier doctor`: every check of one token, in order, for people.

The words are those of `queue-sidecar doctor`. Exit codes: 0 valid, 1 not valid or not readable,
64 a wrong setting or argument. The token is never repeated; what it says of issuer, audience, key
and times is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from .embedded import Verifier
from .errors import ConfigError

__all__ = ["main"]

_USAGE = 64
_PATIENCE = 7.0
"""Seconds: one fetch of the keys, and a retry."""
_MAX_INPUT = 1024 * 1024
"""More than any token; the rest of a wrong file is not read."""
_OUTCOMES = {
    "pass": "pass",
    "fail": "FAIL",
    "unverified_pass": "(pass)",
    "unverified_fail": "(FAIL)",
    "skipped": "-",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = _parser().parse_args(arguments)
    try:
        token = _token(given.token, given.token_file)
    except OSError as error:
        return _complain(f"expected to read the token: {error.strerror}", 1)
    try:
        verifier = _verifier(given)
    except ConfigError as error:
        return _complain(str(error), _USAGE)
    with verifier:
        verifier.ready(_PATIENCE)
        report = verifier.doctor(token)
    if given.json:
        print(json.dumps(report, separators=(",", ":"), ensure_ascii=False))
    else:
        print("\n".join(table(report)))
    return 0 if report["valid"] else 1


def table(report: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of `report`."""
    checks = report["checks"]
    for check in checks:
        outcome = _OUTCOMES[check["outcome"]]
        line = f"{outcome:<7} {check['room']:<10} {check['check']:<28}"
        if check["code"] is not None:
            line += f" {check['code']}"
        if check["detail"] is not None:
            line += f": {check['detail']}"
        yield line
    if any(check["outcome"].startswith("unverified") for check in checks):
        yield "In brackets: claims that no good signature vouches for."
    yield "valid" if report["valid"] else f"not valid: {report['code']}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # The message of an unknown argument repeats it, and it may be the token.
        self.print_usage(sys.stderr)
        known = message.partition(":")[0]
        self.exit(_USAGE, f"{self.prog}: {known}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m queue_verifier", description="Check session tokens offline.", add_help=True
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    doctor = commands.add_parser("doctor", help="explain every check of one token")
    doctor.add_argument(
        "token",
        nargs="?",
        metavar="TOKEN",
        help="the token; `-` reads it from standard input, where no list of processes shows it",
    )
    doctor.add_argument("--token-file", metavar="FILE", help="a file with it; `-`: standard input")
    issuer = _setting("ISSUER")
    doctor.add_argument("--issuer", default=issuer, help="also from QUEUE_SIDECAR_ISSUER")
    doctor.add_argument(
        "--audience", action="append", help="repeatable; also from QUEUE_SIDECAR_AUDIENCE"
    )
    doctor.add_argument(
        "--jwks",
        metavar="FILE|URL",
        help="the keys; also from QUEUE_SIDECAR_JWKS, else discovered from the issuer",
    )
    doctor.add_argument("--public-key", metavar="FILE", help="one key, PEM, in place of --jwks")
    doctor.add_argument("--alg", action="append", help="repeatable; default RS256")
    doctor.add_argument("--profile", default="session", help="session, rfc9068 or jwt")
    doctor.add_argument("--leeway", type=int, default=30, metavar="SECONDS")
    doctor.add_argument(
        "--at", type=int, metavar="UNIX_SECONDS", help="judge as if it were this moment"
    )
    doctor.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _token(given: str | None, file: str | None) -> bytes:
    if file is not None and file != "-":
        with open(file, "rb") as opened:  # noqa: PTH123
            return opened.read(_MAX_INPUT).strip()
    if file == "-" or given in (None, "-"):
        return sys.stdin.buffer.read(_MAX_INPUT).strip()
    return os.fsencode(given or "")


def _verifier(given: argparse.Namespace) -> Verifier:
    audiences = given.audience or [name for name in _setting("AUDIENCE").split(",") if name]
    jwks = given.jwks
    if jwks is None and given.public_key is None:
        jwks = _setting("JWKS")
    is_address = jwks is not None and "://" in jwks
    return Verifier(
        given.issuer,
        audiences,
        jwks_uri=jwks if is_address else None,
        jwks_file=jwks if jwks and not is_address else None,
        public_key=None if given.public_key is None else _pem(given.public_key),
        algorithms=given.alg or ["RS256"],
        profile=given.profile,
        leeway=given.leeway,
        clock=None if given.at is None else lambda: float(given.at),
    )


def _pem(path: str) -> bytes:
    try:
        with open(path, "rb") as opened:  # noqa: PTH123
            return opened.read(_MAX_INPUT)
    except OSError as error:
        message = f"expected to read {path}: {error.strerror}"
        raise ConfigError("config_public_key_unusable", message) from error


def _setting(name: str) -> str:
    return os.environ.get(f"QUEUE_SIDECAR_{name}", "")


def _complain(message: str, code: int) -> int:
    print(f"python -m queue_verifier: {message}", file=sys.stderr)
    return code
