"""The main job on this machine: mint a session, check it offline, see bad ones refused.

Starts the issuer on its embedded default (SQLite), the sidecar and the page of Antlers, where a
person makes a passkey in a browser; plays one round, then stays up until Ctrl-C. `--once` lets a
headless Chromium be the person and ends after the round. `make demo` builds and runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from queue_verifier import Verifier, VerifyError

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples" / "antlers"))

from chromium import chromium  # noqa: E402

BINARIES = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve() / "debug"
AUDIENCE = "raptor"


def free_port(preferred: int) -> int:
    """Return `preferred`, or another port where that one is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    sys.exit("expected a free port on loopback")


ISSUER_PORT, OPS_PORT, SIDECAR_PORT = free_port(4100), free_port(4101), free_port(4140)
PAGE_PORT = free_port(4180)
ISSUER = f"http://localhost:{ISSUER_PORT}"
OPERATORS = f"http://localhost:{OPS_PORT}"
SIDECAR = f"http://127.0.0.1:{SIDECAR_PORT}"
PAGE = f"http://localhost:{PAGE_PORT}"


def main() -> int:
    """Play the round; return the exit status."""
    parser = argparse.ArgumentParser(description="Queue's main job, end to end")
    parser.add_argument("--once", action="store_true", help="end after the round")
    once: bool = parser.parse_args().once
    service_token, operator_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    # Whatever ends the demo, the stack below stops what it started.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="queue-demo-")))
        say("1", "starting the issuer (SQLite in a temporary folder), the sidecar and Antlers")
        start(
            stack,
            "queue-issuer",
            folder,
            {
                "FLAG_QUEUE_V1": "on",
                "QUEUE_ISSUER_URL": ISSUER,
                "QUEUE_ISSUER_LISTEN": f"127.0.0.1:{ISSUER_PORT}",
                "QUEUE_ISSUER_OPS_LISTEN": f"127.0.0.1:{OPS_PORT}",
                "QUEUE_ISSUER_DATA_DIR": str(folder / "queue-data"),
                "QUEUE_ISSUER_ORIGINS": PAGE,
                "QUEUE_SERVICE_TOKEN_RAPTOR": service_token,
                "QUEUE_SERVICE_TOKEN_OPS": operator_token,
            },
        )
        start(
            stack,
            "queue-sidecar",
            folder,
            {
                "QUEUE_SIDECAR_LISTEN": f"127.0.0.1:{SIDECAR_PORT}",
                "QUEUE_SIDECAR_ISSUER": ISSUER,
                "QUEUE_SIDECAR_AUDIENCE": AUDIENCE,
            },
        )
        page = [sys.executable, str(ROOT / "examples" / "antlers" / "antlers.py")]
        settings = {"QUEUE_BASE_URL": ISSUER, "QUEUE_SIDECAR_URL": SIDECAR, "PYTHONUNBUFFERED": "1"}
        launch(stack, [*page, "--port", str(PAGE_PORT)], folder, settings, "Running on")
        sign_up(once)
        customer, token = mint(service_token)
        show_good(token)
        show_refused(token)
        show_revoked(service_token, customer)
        print("\nEvery verdict above was made without asking the issuer.")
        if not once:
            stay(service_token, operator_token, token, folder / "queue-data" / "outbox")
    return 0


def sign_up(once: bool) -> None:
    """Let a person make a passkey in a browser: you, or with `once` a headless Chromium."""
    say("2", f"signing up with a passkey: {PAGE}")
    if not once:
        print(
            "   Open it in your browser, make an account, and see both verifiers take its session."
        )
        print(
            "   Mail of the issuer, codes in it, goes to files; their folder is named at the end."
        )
        return
    with chromium() as browser:
        browser.open(PAGE)
        browser.click("[data-open=sign-up]")
        browser.type("#sign-up [name=email]", "newcomer@example.com")
        browser.click("#sign-up .primary")
        browser.wait_for_text("#notice", "Your account is ready")
        for door in ("sidecar", "python"):
            browser.wait_for_text(f"#door-{door} .verdict", "valid")
            seen = browser.text(f"#door-{door} dl").splitlines()
            acr = seen[seen.index("signed in by") + 1]
            show(door, f"valid, signed in by {acr}, read on the page")


def mint(service_token: str) -> tuple[str, str]:
    """Create a customer and a session; return the customer's id and the access token."""
    say("3", "minting: POST /api/v1/customers, POST /api/v1/service/sessions")
    email = f"customer-{secrets.token_hex(4)}@example.com"
    customer = post(f"{ISSUER}/api/v1/customers", service_token, {"email": email})
    minted = begin_session(service_token, customer["id"])
    print(f"   customer {customer['id']}")
    print(f"   token    {minted['access_token'][:48]}… ({minted['expires_in']} s)")
    return str(customer["id"]), str(minted["access_token"])


def begin_session(service_token: str, customer: str) -> Any:
    """Begin a session of the customer."""
    body = {"customer_id": customer}
    return post(f"{ISSUER}/api/v1/service/sessions", service_token, body)


def show_good(token: str) -> None:
    """Check the token over HTTP and inside this process."""
    say("4", "valid: over HTTP by the sidecar, in this process by queue_verifier")
    session = post(f"{SIDECAR}/v1/validate", token, None)
    show("sidecar", f"valid, subject {session['subject']}, roles {session['roles']}")
    with Verifier(ISSUER, AUDIENCE) as verifier:
        require(verifier.ready(10), "keys within 10 s")
        same = verifier.validate_session(token)
    show("python", f"valid, subject {same.subject}, roles {list(same.roles)}")
    require(same.subject == session["subject"], "the same session at both doors")


def show_refused(token: str) -> None:
    """Check a tampered token, and the good one at a later time."""
    say("5", "refused: one bit of the claims changed")
    header, payload, signature = token.split(".")
    swapped = "A" if payload[20] != "A" else "B"
    tampered = f"{header}.{payload[:20]}{swapped}{payload[21:]}.{signature}"
    with Verifier(ISSUER, AUDIENCE) as verifier:
        require(verifier.ready(10), "keys within 10 s")
        expires_at = verifier.validate_session(token).expires_at
        expect(
            "sidecar", "signature_invalid", lambda: post(f"{SIDECAR}/v1/validate", tampered, None)
        )
        expect("python", "signature_invalid", lambda: verifier.validate_session(tampered))

    say("6", "refused: the good token, judged by a clock a minute past its `exp`")
    later = expires_at + 60
    done = subprocess.run(
        [
            *(str(BINARIES / "queue-sidecar"), "validate", "--at", str(later)),
            *("--issuer", ISSUER, "--audience", AUDIENCE),
        ],
        input=token,
        capture_output=True,
        text=True,
        check=False,
    )
    show("sidecar", f"refused, {json.loads(done.stdout)['code']} (queue-sidecar validate --at)")
    require(json.loads(done.stdout)["code"] == "claims_expired", "claims_expired")
    with Verifier(ISSUER, AUDIENCE, clock=lambda: later) as verifier:
        require(verifier.ready(10), "keys within 10 s")
        expect("python", "claims_expired", lambda: verifier.validate_session(token))


def show_revoked(service_token: str, customer: str) -> None:
    """Revoke a session at the issuer; both doors hear of it."""
    say("7", "refused: another session, revoked at the issuer, which pushes the news")
    token = begin_session(service_token, customer)["access_token"]
    with Verifier(ISSUER, AUDIENCE) as verifier:
        require(verifier.ready(10), "keys within 10 s")
        session = verifier.validate_session(token)
        show("python", f"valid, revocation {session.freshness.status}")
        post(f"{SIDECAR}/v1/validate", token, None)
        revoke = f"{ISSUER}/api/v1/service/sessions/{session.session_id}/revoke"
        post(revoke, service_token, None)
        answered_at = time.monotonic()
        doors: dict[str, Callable[[], object]] = {
            "python": lambda: verifier.validate_session(token),
            "sidecar": lambda: post(f"{SIDECAR}/v1/validate", token, None),
        }
        for door, check in doors.items():
            while is_valid(check):
                # The poll comes after five seconds where the push does not.
                require(time.monotonic() < answered_at + 10, f"{door} to hear within 10 s")
            millis = (time.monotonic() - answered_at) * 1000
            expect(door, "status_revoked", check)
            print(f"            {millis:.0f} ms after the issuer had answered")


def is_valid(check: Callable[[], object]) -> bool:
    """Whether `check` lets the token in."""
    try:
        check()
    except (VerifyError, urllib.error.HTTPError):
        return False
    return True


def stay(service_token: str, operator_token: str, token: str, outbox: Path) -> NoReturn:
    """Print what to try, and stay until a signal."""
    command = f"{os.path.relpath(BINARIES)}/queue-sidecar doctor"
    print(f"""
Try it (Ctrl-C ends the demo):

  Antlers     {PAGE}/
  operators   {OPERATORS}/   with the token {operator_token}
  mail        {outbox}/   (codes that the issuer sends)
  keys        {ISSUER}/.well-known/jwks.json
  discovery   {ISSUER}/.well-known/openid-configuration
  issuer      {ISSUER}/   {ISSUER}/readyz
  sidecar     {SIDECAR}/v1/status   {SIDECAR}/metrics

  TOKEN={token}
  curl -s -H "Authorization: Bearer $TOKEN" -X POST {SIDECAR}/v1/validate
  {command} --issuer {ISSUER} --audience {AUDIENCE} $TOKEN

  The service token of this run: {service_token}
""")
    while True:
        signal.pause()


def start(stack: ExitStack, program: str, folder: Path, env: Mapping[str, str]) -> None:
    """Start a program and wait until it listens; it is stopped with the stack."""
    launch(stack, [str(BINARIES / program)], folder, env, "listening")


def launch(
    stack: ExitStack, command: list[str], folder: Path, env: Mapping[str, str], sign: str
) -> None:
    """Start a command and wait until it prints `sign`; it is stopped with the stack."""
    program = Path(command[0] if len(command) == 1 else command[1]).name
    process = subprocess.Popen(
        command,
        env={"PATH": os.environ["PATH"], **env},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Ctrl-C is for us: we stop the programs in order.
        start_new_session=True,
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if sign in line:
            break
    else:
        sys.exit(f"{program} did not start:\n{''.join(seen)}")
    # Later lines are read and dropped: a full pipe would stop the program.
    threading.Thread(target=process.stdout.read, daemon=True).start()
    print(f"   {program}: {line.strip()}")


def post(url: str, token: str, body: Mapping[str, Any] | None) -> Any:
    """Send one request; return its JSON, raise on refusals."""
    request = urllib.request.Request(url, method="POST", data=b"")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def expect(door: str, code: str, check: Callable[[], object]) -> None:
    """Show that `check` refuses with `code`."""
    try:
        check()
    except VerifyError as error:
        found = error.code
    except urllib.error.HTTPError as error:
        found = json.load(error)["code"]
    else:
        found = "valid"
    show(door, f"refused, {found}")
    require(found == code, code)


def require(holds: bool, expected: str) -> None:
    """End the demo with status 1 unless `holds`."""
    if not holds:
        sys.exit(f"expected {expected}")


def say(number: str, text: str) -> None:
    """Head a step."""
    print(f"\n{number}. {text}", flush=True)


def show(door: str, text: str) -> None:
    """Print one verdict."""
    print(f"   {door:<8} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
