"""Room 2, first part: the header as bytes and as JSON (RFC 8259, RFC 8725 §3.2)."""

from __future__ import annotations

from forge.case import CLAIMS, Room, header, mint, raw_header, text
from forge.keys import A, jwk, keys

MAX_HEADER = 4096
MAX_KID = 256


def add(room: Room) -> None:
    """Add the cases about size, depth and JSON."""
    bounds(room)
    not_json(room)


def bounds(room: Room) -> None:
    whole = header(x="")
    at = whole | {"x": "a" * (MAX_HEADER - len(text(whole)))}
    over = whole | {"x": at["x"] + "a"}
    room.valid("size_4096", "V16 a header of 4096 bytes decoded is allowed", mint(CLAIMS, at))
    room.refuse(
        "header_malformed",
        "size_4097",
        "V16 a header of 4097 bytes decoded is not",
        mint(CLAIMS, over),
    )
    for name, why, nested, good in (
        ("depth_16", "V17 16 levels, the header object being the first", 15, True),
        ("depth_17", "V17 17 levels", 16, False),
        ("depth_1000", "V17 1000 levels", 999, False),
    ):
        jws = mint(CLAIMS, raw_header(f'"x":{"[" * nested}{"]" * nested}'))
        if good:
            room.valid(name, why, jws)
        else:
            room.refuse("header_malformed", name, why, jws)
    objects = '{"a":' * 16 + "1" + "}" * 16
    room.refuse(
        "header_malformed",
        "depth_17_objects",
        "V17 17 levels of objects",
        mint(CLAIMS, raw_header(f'"x":{objects}')),
    )
    for name, kid, good in (
        ("kid_256", "k" * MAX_KID, True),
        ("kid_257", "k" * (MAX_KID + 1), False),
        ("kid_256_utf8", "\u00e9" * (MAX_KID // 2), True),
        ("kid_258_utf8", "\u00e9" * (MAX_KID // 2 + 1), False),
    ):
        jws, jwks = mint(CLAIMS, header(kid=kid)), keys(jwk(A, kid=kid))
        size = len(kid.encode("utf-8"))
        if good:
            room.valid(name, f"V9 a kid of {size} bytes that is in the set", jws, jwks=jwks)
        else:
            room.refuse(
                "header_malformed",
                name,
                f"V9 a kid of {size} bytes, though in the set",
                jws,
                jwks=keys(jwk(A), jwk(A, kid=kid)),
            )


def not_json(room: Room) -> None:
    good = text(header())
    for name, why, raw in (
        ("root_array", "V19 the top level is an array", b"[" + good + b"]"),
        ("root_null", "V19 the top level is null", b"null"),
        ("root_string", "V19 the top level is a string", b'"' + b"RS256" + b'"'),
        ("root_number", "V19 the top level is a number", b"1"),
        ("trailing_object", "two objects: nothing may follow the first", good + good),
        ("trailing_brace", "a brace after the object", good + b"}"),
        ("trailing_nul", "a NUL after the object is not whitespace", good + b"\0"),
        (
            "byte_order_mark",
            "V19 a byte order mark (RFC 8259 §8.1)",
            b"\xef\xbb\xbf" + good,
        ),
        ("utf16", "V19 UTF-16 text", good.decode("ascii").encode("utf-16-le")),
        ("cut_short", "the object does not end", good[:-1]),
        ("trailing_comma", "a comma before the closing brace", good[:-1] + b",}"),
        ("single_quotes", "single quotes", good.replace(b'"', b"'")),
        ("whitespace_only", "whitespace and nothing else", b"  "),
        ("no_json", "text that is no JSON", b"alg=RS256"),
        (
            "invalid_utf8",
            "V19 a byte that is no UTF-8 in an unknown member",
            good[:-1] + b',"x":"\xff"}',
        ),
        (
            "overlong_utf8",
            "V19 an overlong form of '/'",
            good[:-1] + b',"x":"\xc0\xaf"}',
        ),
        (
            "encoded_surrogate",
            "V19 a surrogate encoded as UTF-8",
            good[:-1] + b',"x":"\xed\xa0\x80"}',
        ),
        (
            "lone_high_surrogate",
            "V19 a high surrogate alone",
            raw_header(r'"x":"\ud800"'),
        ),
        (
            "lone_low_surrogate",
            "V19 a low surrogate alone",
            raw_header(r'"x":"\udc00a"'),
        ),
        (
            "surrogate_in_name",
            "V19 a lone surrogate in a member name",
            raw_header(r'"\ud800":1'),
        ),
        (
            "swapped_surrogates",
            "V19 the two halves in the wrong order",
            raw_header(r'"x":"\udc00\ud800"'),
        ),
        (
            "raw_control",
            "a raw control character in a string",
            raw_header('"x":"\x01"'),
        ),
        ("duplicate_alg_none", "V18 alg twice, none last", raw_header('"alg":"none"')),
        (
            "duplicate_alg_same",
            "V18 alg twice, the same value",
            raw_header('"alg":"RS256"'),
        ),
        (
            "duplicate_alg_escaped",
            "V18 alg twice, once escaped: names compare unescaped",
            raw_header(r'"\u0061lg":"none"'),
        ),
        (
            "duplicate_kid",
            "V18 kid twice, the right one last",
            b'{"kid":"other",' + good[1:],
        ),
        ("duplicate_unknown", "V18 an unknown member twice", raw_header('"x":1,"x":2')),
        (
            "duplicate_nested",
            "V18 a member twice one level down",
            raw_header('"x":{"y":1,"y":1}'),
        ),
        (
            "duplicate_crit",
            "V18 crit twice: the object is malformed before crit is read",
            raw_header('"crit":["exp"],"crit":["exp"]'),
        ),
    ):
        room.refuse("header_malformed", name, why, mint(CLAIMS, raw))
    spaced = b" \t\r\n" + good.replace(b",", b" ,\r\n\t").replace(b":", b" : ") + b"\n"
    room.valid(
        "whitespace",
        "whitespace around JSON tokens is fine (RFC 8259 §2)",
        mint(CLAIMS, spaced),
    )
    room.valid(
        "escaped_name",
        "a member name may be escaped",
        mint(CLAIMS, good.replace(b'"alg"', rb'"\u0061lg"')),
    )
    room.valid(
        "escaped_value",
        "a value may be escaped",
        mint(CLAIMS, good.replace(b"RS256", rb"RS25\u0036")),
    )
    room.valid(
        "surrogate_pair",
        "a surrogate pair is one character",
        mint(CLAIMS, raw_header(r'"x":"\ud83d\udd11"')),
    )
