"""Room 1: size, segments, base64url (RFC 7515 §2 and §7.1)."""

from __future__ import annotations

import json
from base64 import b64encode

from forge.case import CLAIMS, HEADER, Room, claims, header, mint, text
from forge.keys import Json, b64u

MAX_TOKEN = 16_384
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def room() -> Room:
    """Return the cases of the token room."""
    room = Room("token")
    size(room)
    segments(room)
    encoding(room)
    text_around(room)
    other_forms(room)
    return room


def size(room: Room) -> None:
    at = "V16 the cap counts bytes of the whole token"
    room.valid("size_16384", f"{at}: 16384 is allowed", sized(MAX_TOKEN), tags=["large"])
    room.refuse(
        "token_too_large",
        "size_16385",
        f"{at}: 16385 is not, though everything else is right",
        sized(MAX_TOKEN + 1),
        tags=["big"],
    )

    def too_large(name: str, why: str, parts: list[list[object]]) -> None:
        form: Json = {"jws_parts": parts}
        room.refuse_form("token_too_large", name, why, form, tags=["big"])

    good = mint()
    head, payload, signature = good.split(".")
    why = "the cap comes before any other look at the token"
    too_large("size_not_base64", f"V16 {why}", [["!", 20_000]])
    too_large(
        "size_header_1mb",
        f"V16 {why}: header of 1 MB",
        [["QUFB", 350_000], [f".{payload}.{signature}", 1]],
    )
    too_large(
        "size_signature_1mb",
        f"V16 {why}: signature of 1 MB",
        [[f"{head}.{payload}.", 1], ["QUFB", 350_000]],
    )
    too_large("size_million_dots", f"V14 {why}: a million dots", [[".", 1_000_000]])


def segments(room: Room) -> None:
    head, payload, signature = mint().split(".")
    for name, why, jws in (
        ("empty", "an empty token has no segments", ""),
        ("one_segment", "one segment", head),
        (
            "two_segments",
            "V14 two segments, the signature and its dot cut off",
            f"{head}.{payload}",
        ),
        (
            "four_segments",
            "V14 a fourth, empty segment",
            f"{head}.{payload}.{signature}.",
        ),
        ("leading_dot", "V14 an empty segment first", f".{head}.{payload}.{signature}"),
        (
            "five_copies",
            "V14 five segments of good text",
            f"{head}.{payload}.{signature}.{head}.{payload}",
        ),
        ("empty_header", "an empty header segment", f".{payload}.{signature}"),
        ("only_dots", "three empty segments", ".."),
        (
            "double_dot",
            "V14 two dots between header and payload",
            f"{head}..{payload}.{signature}",
        ),
        (
            "raw_payload_with_dots",
            "V12 an unencoded payload (RFC 7797) that holds dots",
            f"{head}.a.b.c.{signature}",
        ),
    ):
        tags = {"tags": ["nohttp"]} if not jws else {}
        room.refuse("token_malformed", name, why, jws, **tags)
    # RFC 7515 allows an empty payload: it falls for its signature.
    for name, why, jws in (
        (
            "empty_payload",
            "V13 detached payload (RFC 7515 appendix F)",
            f"{head}..{signature}",
        ),
        ("header_only", "a header and two empty segments", f"{head}.."),
    ):
        room.refuse("signature_invalid", name, why, jws)
    dots: Json = {"jws_parts": [[head, 1], [".", 10_000]]}
    room.refuse_form(
        "token_malformed",
        "ten_thousand_dots",
        "V14 10 000 dots below the size cap",
        dots,
    )


def encoding(room: Room) -> None:
    # One segment of each length mod 4 that has spare bits, all signed as they stand.
    padded_head = with_remainder(2, HEADER)
    why = "RFC 7515 §2: base64url without padding"
    full = mint(CLAIMS, padded_head)
    head, payload, signature = full.split(".")
    room.valid("canonical_two_spare", "control: header with four spare bits, all zero", full)
    room.refuse(
        "token_malformed",
        "header_padded",
        f"V15 {why}",
        f"{head}==.{payload}.{signature}",
    )
    room.refuse(
        "token_malformed",
        "signature_padded",
        f"V15 {why}",
        f"{head}.{payload}.{signature}==",
    )
    room.refuse(
        "token_malformed",
        "header_spare_bits",
        "V15 V44 non-zero spare bits in the header: a second form of the same bytes",
        f"{bent(head)}.{payload}.{signature}",
    )
    room.refuse(
        "token_malformed",
        "signature_spare_bits",
        "V15 V44 non-zero spare bits in the signature: it would verify when decoded loosely",
        f"{head}.{payload}.{bent(signature)}",
    )
    for remainder in (2, 3):
        body = with_remainder(remainder, CLAIMS)
        good = mint(body)
        head, payload, signature = good.split(".")
        room.valid(
            f"payload_length_mod_{remainder}",
            f"control: payload of length {remainder} mod 4",
            good,
        )
        room.refuse(
            "token_malformed",
            f"payload_padded_mod_{remainder}",
            f"V15 {why}",
            f"{head}.{payload + '=' * (4 - remainder)}.{signature}",
        )
        room.refuse(
            "token_malformed",
            f"payload_spare_bits_mod_{remainder}",
            "V15 V44 non-zero spare bits in the payload",
            f"{head}.{bent(payload)}.{signature}",
        )
    head, payload, signature = mint().split(".")
    for index, name in enumerate(("header", "payload", "signature")):
        parts = [head, payload, signature]
        part = parts[index]
        parts[index] = part + "A" * ((1 - len(part)) % 4)
        room.refuse(
            "token_malformed",
            f"{name}_length_mod_1",
            f"V15 no bytes encode to a {name} of length 1 mod 4",
            ".".join(parts),
        )
    mixed = standard_alphabet()
    room.refuse(
        "token_malformed",
        "standard_alphabet",
        "V15 '+' and '/' in place of '-' and '_'",
        mixed,
    )
    for name, character in (
        ("newline", "\n"),
        ("space", " "),
        ("percent", "%"),
        ("nul", "\0"),
    ):
        tags = ["nohttp"] if character in "\n\0 " else []
        jws = f"{head}.{payload[:40]}{character}{payload[40:]}.{signature}"
        room.refuse(
            "token_malformed",
            f"inner_{name}",
            f"V15 a {name} inside the payload segment",
            jws,
            tags=tags,
        )
    for name, character in (
        ("fullwidth", "\uff21"),
        ("zero_width_space", "\u200b"),
        ("emoji", "\U0001f511"),
    ):
        room.refuse(
            "token_malformed",
            f"unicode_{name}",
            "V15 a character outside ASCII",
            f"{head}.{payload}.{signature}{character}",
            tags=["nohttp"],
        )
    raw = f"{head}.{payload}.{signature}".encode("ascii") + b"\xff"
    form: Json = {"jws_b64": b64encode(raw).decode("ascii")}
    room.refuse_form(
        "token_malformed",
        "byte_ff",
        "V15 a byte that is no UTF-8 at the end",
        form,
        tags=["nohttp"],
    )


def text_around(room: Room) -> None:
    good = mint()
    for name, why, jws, tags in (
        ("leading_space", "whitespace is not trimmed", f" {good}", ["nohttp"]),
        ("trailing_space", "whitespace is not trimmed", f"{good} ", ["nohttp"]),
        ("trailing_newline", "whitespace is not trimmed", f"{good}\n", ["nohttp"]),
        (
            "byte_order_mark",
            "a byte order mark before the token",
            f"\ufeff{good}",
            ["nohttp"],
        ),
        ("quoted", "the token in quotes", f'"{good}"', []),
        ("scheme", "the Authorization scheme left on", f"Bearer {good}", ["nohttp"]),
        ("two_tokens", "two tokens with a comma between", f"{good},{good}", []),
        ("word", "a word", "undefined", []),
    ):
        room.refuse("token_malformed", name, why, jws, tags=tags)


def other_forms(room: Room) -> None:
    head, payload, signature = mint().split(".")
    jwe_head = b64u(text({"alg": "dir", "enc": "A128GCM", "zip": "DEF", "cty": "JWT"}))
    room.refuse(
        "token_malformed",
        "jwe_dir",
        "V7 V32 a five-part JWE (RFC 7516)",
        f"{jwe_head}..{b64u(bytes(12))}.{payload}.{b64u(bytes(16))}",
    )
    signed_head = b64u(text(HEADER))
    room.refuse(
        "token_malformed",
        "jwe_with_jws_header",
        "V7 five parts under a header that says RS256",
        f"{signed_head}.{payload}.{b64u(bytes(12))}.{payload}.{signature}",
    )
    flat: Json = {"protected": head, "payload": payload, "signature": signature}
    general: Json = {
        "payload": payload,
        "signatures": [{"protected": head, "signature": signature}],
    }
    bare: Json = {"payload": payload, "signatures": []}
    for name, value in (
        ("flattened", flat),
        ("general", general),
        ("no_signatures", bare),
    ):
        room.refuse(
            "token_malformed",
            f"json_{name}",
            f"V13 JSON serialisation (RFC 7515 §7.2), {name}",
            json.dumps(value),
            tags=["nohttp"],
        )


def sized(total: int) -> str:
    """Return a good token of exactly `total` bytes."""
    for extra in range(3):
        head = header(x="a" * extra)
        rest = total - len(mint(b"{}", head)) + len(b64u(b"{}"))
        room_for_payload = rest * 3 // 4
        payload = claims(pad="")
        payload["pad"] = "x" * (room_for_payload - len(text(payload)))
        jws = mint(payload, head)
        if len(jws) == total:
            return jws
    raise ValueError(f"no token of {total} bytes")


def with_remainder(remainder: int, base: Json) -> Json:
    """Return `base` with a filler member that makes its encoded length `remainder` mod 4."""
    for count in range(4):
        made = {**base, "x": "a" * count}
        if len(b64u(text(made))) % 4 == remainder:
            return made
    raise ValueError(f"no length {remainder} mod 4")


def bent(segment: str) -> str:
    """Set the lowest spare bit of the last character."""
    if len(segment) % 4 not in (2, 3):
        raise ValueError("the segment has no spare bits")
    return segment[:-1] + ALPHABET[ALPHABET.index(segment[-1]) | 1]


def standard_alphabet() -> str:
    """Return a token with '-' or '_' in payload and signature, in the standard alphabet."""
    jws = mint(claims(note="\u00ff\u00fe???>>>"))
    if not all(set("-_") & set(segment) for segment in jws.split(".")[1:]):
        raise ValueError("nothing to rewrite")
    return jws.replace("-", "+").replace("_", "/")
