"""Room 4: the signature over the bytes received (RFC 7515 §5.2, RFC 7518 §3, RFC 8037 §3.1)."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from forge.case import (
    CLAIMS,
    HEADER,
    Room,
    claims,
    header,
    mint,
    mint_as,
    signing_input,
    text,
)
from forge.keys import ED, P256, P384, STRANGER, A, B, b64u, kid_of, public_pem
from forge.sign import (
    DIGEST_INFO,
    ED25519_ORDER,
    P256_ORDER,
    ecdsa,
    padded,
    pkcs1,
    pss,
    sign,
)

CODE = "signature_invalid"


def room() -> Room:
    """Return the cases of the signature room."""
    room = Room("signature")
    rsa_bytes(room)
    other_content(room)
    paddings(room)
    probabilistic(room)
    elliptic(room)
    edwards(room)
    return room


def rsa_bytes(room: Room) -> None:
    good = sign("RS256", A, signing_input(HEADER, CLAIMS))
    value = int.from_bytes(good, "big")
    room.valid("rs256", "control: RS256 over the signing input", mint())
    for name, why, signature in (
        ("empty", "V30 an empty signature segment: a JWS has one, of length 0", b""),
        ("one_byte", "V30 one byte", good[:1]),
        ("short", "V30 one byte short", good[:-1]),
        ("long", "V30 one byte too long", good + b"\0"),
        (
            "leading_zero",
            "V30 a zero byte in front: same integer, another form",
            b"\0" + good,
        ),
        ("twice", "V30 the signature twice", good + good),
        ("zeros", "V30 all zero", bytes(256)),
        ("ones", "V30 all ones, above the modulus", b"\xff" * 256),
        ("value_one", "the integer 1", bytes(255) + b"\x01"),
        ("modulus", "the modulus itself", A.n.to_bytes(256, "big")),
        (
            "plus_modulus",
            "s + n: RSAVP1 wants s below n",
            (value + A.n).to_bytes(257, "big"),
        ),
        (
            "flip_first",
            "a bit of the first byte changed",
            bytes([good[0] ^ 1]) + good[1:],
        ),
        (
            "flip_middle",
            "a bit in the middle changed",
            good[:128] + bytes([good[128] ^ 0x80]) + good[129:],
        ),
        (
            "flip_last",
            "a bit of the last byte changed",
            good[:-1] + bytes([good[-1] ^ 1]),
        ),
        ("reversed", "the bytes in reverse order", good[::-1]),
        (
            "encoded_twice",
            "base64url of the base64url text",
            b64u(good).encode("ascii"),
        ),
    ):
        room.refuse(CODE, name, why, mint(signature=signature))
    mac = hmac.new(public_pem("rsa2048_a"), signing_input(HEADER, CLAIMS), hashlib.sha256).digest()
    room.refuse(
        CODE,
        "hmac_bytes",
        "V2 an HMAC with the public key, labelled RS256",
        mint(signature=mac),
    )


def other_content(room: Room) -> None:
    message = signing_input(HEADER, CLAIMS)
    good = sign("RS256", A, message)
    admin = claims(roles=["admin"])
    payload = message.split(b".")[1]
    spaced = text(HEADER).replace(b",", b", ")
    for name, why, jws in (
        (
            "payload_changed",
            "another payload under the old signature",
            mint(admin, signature=good),
        ),
        (
            "header_changed",
            "the header written differently under the old signature",
            mint(CLAIMS, spaced, signature=good),
        ),
        (
            "header_member_added",
            "a header member added under the old signature",
            mint(CLAIMS, header(x=1), signature=good),
        ),
        (
            "payload_only",
            "signed over the payload segment alone",
            mint(signature=sign("RS256", A, payload)),
        ),
        (
            "decoded_bytes",
            "signed over the decoded bytes",
            mint(signature=sign("RS256", A, text(HEADER) + b"." + text(CLAIMS))),
        ),
        (
            "stranger_same_kid",
            "V27 V37 a key of another issuer under our kid",
            mint(key=STRANGER),
        ),
        ("other_key_of_set", "signed by B under the kid of A", mint(key=B)),
        (
            "malformed_payload",
            "the signature is checked before the payload is read",
            mint(b"not json", signature=good),
        ),
        (
            "expired_and_forged",
            "the signature is checked before exp",
            mint(claims(exp=1), signature=good),
        ),
    ):
        room.refuse(CODE, name, why, jws, jwks="#ab")


def paddings(room: Room) -> None:
    message = signing_input(HEADER, CLAIMS)
    digest = hashlib.sha256(message).digest()
    info = DIGEST_INFO["sha256"]
    tail = info + digest
    for name, why, encoded in (
        ("digest_sha512", "the DigestInfo names SHA-512", pkcs1(A, "sha512", message)),
        ("digest_sha384", "the DigestInfo names SHA-384", pkcs1(A, "sha384", message)),
        ("digest_sha1", "the DigestInfo names SHA-1", pkcs1(A, "sha1", message)),
        ("digest_bare", "the hash without DigestInfo", padded(A, digest)),
        (
            "digest_label_only",
            "SHA-384's DigestInfo before a SHA-256 hash",
            padded(A, DIGEST_INFO["sha384"] + digest),
        ),
        ("block_type_0", "block type 00", padded(A, tail, block=0)),
        ("block_type_2", "block type 02", padded(A, tail, block=2)),
        ("fill_zero", "fill bytes 00", padded(A, tail, fill=b"\0")),
        (
            "fill_short_garbage",
            "V28 eight fill bytes, then garbage after the hash (Bleichenbacher 2006)",
            (b"\0\1" + b"\xff" * 8 + b"\0" + tail).ljust(256, b"\x2a"),
        ),
        (
            "garbage_in_fill",
            "V28 one fill byte is not FF",
            pkcs1(A, "sha256", message).replace(b"\xff" * 3, b"\xff\xfe\xff", 1),
        ),
        (
            "parameters_garbage",
            "V28 bytes hidden in the AlgorithmIdentifier parameters",
            padded(
                A,
                bytes.fromhex("3033300f060960864801650304020105020000")
                + bytes.fromhex("0420")
                + digest,
            ),
        ),
        (
            "pss_under_rs256",
            "V6 a PSS signature under alg RS256",
            pss(A, "sha256", message),
        ),
    ):
        room.refuse(CODE, name, why, mint(signature=A.sign(encoded)))


def probabilistic(room: Room) -> None:
    head = header(alg="PS256", kid="PS256")
    message = signing_input(head, CLAIMS)
    for name, why, encoded in (
        (
            "pkcs1_under_ps256",
            "V6 a PKCS #1 v1.5 signature under alg PS256",
            pkcs1(A, "sha256", message),
        ),
        (
            "ps256_no_salt",
            "an empty salt: it must be as long as the hash (RFC 7518 §3.5)",
            pss(A, "sha256", message, salt_length=0),
        ),
        (
            "ps256_short_salt",
            "a salt of 20 bytes",
            pss(A, "sha256", message, salt_length=20),
        ),
        (
            "ps256_long_salt",
            "a salt of 64 bytes",
            pss(A, "sha256", message, salt_length=64),
        ),
        ("ps256_mgf1_sha1", "MGF1 with SHA-1", pss(A, "sha256", message, mask="sha1")),
        ("ps256_sha512", "PSS with SHA-512 under PS256", pss(A, "sha512", message)),
    ):
        jws = mint(CLAIMS, head, signature=A.sign(encoded))
        room.refuse(CODE, name, why, jws, jwks="#a_any_rsa", allowed=["PS256"])


def elliptic(room: Room) -> None:
    head = header(alg="ES256", kid=kid_of(P256))
    message = signing_input(head, CLAIMS)
    r, s = ecdsa(P256, "sha256", message)
    options = {"jwks": "#p256", "allowed": ["ES256"]}

    def pair(left: int, right: int) -> str:
        return mint(CLAIMS, head, signature=left.to_bytes(32, "big") + right.to_bytes(32, "big"))

    room.valid("es256", "control: ES256", pair(r, s), **options)
    room.valid(
        "es256_other_s",
        "V29 (r, n - s) is a signature too (RFC 7518 sets no low-s rule)",
        pair(r, P256_ORDER - s),
        **options,
    )
    room.valid(
        "es256_leading_zero",
        "r begins with a zero byte and keeps its 32 bytes",
        leading_zero(),
        **options,
    )
    for name, why, left, right in (
        ("es256_zeros", "V29 r = s = 0 (psychic signature)", 0, 0),
        ("es256_r_zero", "V29 r = 0", 0, s),
        ("es256_s_zero", "V29 s = 0", r, 0),
        ("es256_r_order", "V29 r = n", P256_ORDER, s),
        ("es256_s_order", "V29 s = n", r, P256_ORDER),
        ("es256_order_order", "V29 r = s = n", P256_ORDER, P256_ORDER),
        ("es256_ones", "V29 r = s = 1", 1, 1),
        ("es256_swapped", "s before r", s, r),
    ):
        room.refuse(CODE, name, why, pair(left, right), **options)
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    wide = sign("ES384", P384, message)
    for name, why, signature in (
        (
            "es256_der",
            "V29 the ASN.1 form of the same signature",
            encode_dss_signature(r, s),
        ),
        ("es256_short", "V30 63 bytes", raw[:-1]),
        ("es256_long", "V30 65 bytes", raw + b"\0"),
        (
            "es256_padded_halves",
            "33 + 33 bytes, a zero before each half",
            b"\0" + raw[:32] + b"\0" + raw[32:],
        ),
        ("es256_empty", "V30 no bytes", b""),
        ("es256_p384_bytes", "V6 a P-384 signature", wide),
        ("es256_flip", "a bit changed", raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]),
    ):
        room.refuse(CODE, name, why, mint(CLAIMS, head, signature=signature), **options)


def edwards(room: Room) -> None:
    good = mint_as("EdDSA", ED)
    head = header(alg="EdDSA", kid=kid_of(ED))
    raw = sign("EdDSA", ED, signing_input(head, CLAIMS))
    s = int.from_bytes(raw[32:], "little") + ED25519_ORDER
    options = {"jwks": "#ed25519", "allowed": ["EdDSA"]}
    room.valid("eddsa", "control: Ed25519", good, **options)
    for name, why, signature in (
        (
            "eddsa_s_plus_order",
            "s + L: RFC 8032 §5.1.7 wants s below L",
            raw[:32] + s.to_bytes(32, "little"),
        ),
        ("eddsa_zeros", "V30 all zero", bytes(64)),
        ("eddsa_short", "V30 63 bytes", raw[:-1]),
        ("eddsa_long", "V30 65 bytes", raw + b"\0"),
        ("eddsa_flip", "a bit of R changed", bytes([raw[0] ^ 1]) + raw[1:]),
        ("eddsa_empty", "V30 no bytes", b""),
    ):
        room.refuse(CODE, name, why, mint(CLAIMS, head, signature=signature), **options)


def leading_zero() -> str:
    """Return the first ES256 token of a series whose r begins with a zero byte."""
    for index in range(10_000):
        payload = claims(jti=f"leading-zero-{index}")
        message = signing_input(header(alg="ES256", kid=kid_of(P256)), payload)
        if sign("ES256", P256, message)[0] == 0:
            return mint_as("ES256", P256, payload)
    raise ValueError("no signature begins with a zero byte")
