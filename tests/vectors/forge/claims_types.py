"""Room 5 again: the payload as JSON, and the type of each claim (RFC 7519 §4.1, RFC 8259)."""

from __future__ import annotations

from typing import Any

from forge.case import CLAIMS, NOW, Room, claims, header, mint, raw_claims, text

CODE = "claims_malformed"


def add(room: Room) -> None:
    """Add the cases that end in claims_malformed, and their controls."""
    not_json(room)
    depth(room)
    wrong_types(room)
    numbers(room)


def not_json(room: Room) -> None:
    good = text(claims())
    for name, why, raw in (
        ("root_array", "V19 the top level is an array", b"[" + good + b"]"),
        ("root_null", "V19 the top level is null", b"null"),
        ("root_string", "V19 the top level is a string", b'"x"'),
        ("root_number", "V19 the top level is a number", b"1800000000"),
        ("whitespace_only", "whitespace and nothing else", b" "),
        (
            "nested_token",
            "the payload is another token (RFC 7519 §5.2)",
            mint().encode("ascii"),
        ),
        ("form_encoded", "form encoding", b"iss=a&aud=b"),
        ("trailing_object", "two objects", good + good),
        ("trailing_nul", "a NUL after the object", good + b"\0"),
        ("byte_order_mark", "V19 a byte order mark", b"\xef\xbb\xbf" + good),
        ("cut_short", "the object does not end", good[:-1]),
        ("trailing_comma", "a comma before the closing brace", good[:-1] + b",}"),
        ("nan", "V21 NaN is no JSON", raw_claims('"exp":NaN', "exp")),
        ("infinity", "V21 Infinity is no JSON", raw_claims('"exp":Infinity', "exp")),
        ("leading_zero", "a number with a zero in front", raw_claims('"x":01')),
        ("invalid_utf8", "V19 a byte that is no UTF-8", good[:-1] + b',"x":"\xff"}'),
        ("utf16", "V19 UTF-16 text", good.decode("ascii").encode("utf-16-be")),
        ("lone_surrogate", "V19 a surrogate alone", raw_claims(r'"x":"\ud800"')),
        (
            "lone_surrogate_sub",
            "V19 a surrogate alone in sub",
            raw_claims(r'"sub":"\udfff"', "sub"),
        ),
        (
            "surrogate_in_name",
            "V19 a surrogate alone in a member name",
            raw_claims(r'"\ud800":1'),
        ),
        ("raw_newline", "a raw line break in a string", raw_claims('"x":"a\nb"')),
        ("duplicate_exp", "V18 exp twice", raw_claims(f'"exp":{NOW + 9000}')),
        (
            "duplicate_exp_escaped",
            "V18 exp twice, once escaped",
            raw_claims(rf'"\u0065xp":{NOW + 9000}'),
        ),
        (
            "duplicate_sub_same",
            "V18 sub twice, the same value",
            raw_claims(f'"sub":"{CLAIMS["sub"]}"'),
        ),
        ("duplicate_unknown", "V18 an unknown claim twice", raw_claims('"x":1,"x":2')),
        (
            "duplicate_nested",
            "V18 a member of cnf twice",
            raw_claims('"cnf":{"jkt":"a","jkt":"b"}'),
        ),
        (
            "duplicate_in_array",
            "V18 a member twice in an object of an array",
            raw_claims('"x":[{"a":1,"a":1}]'),
        ),
    ):
        room.refuse(CODE, name, why, mint(raw))
    spaced = b"\r\n\t " + good.replace(b",", b" ,\n") + b"\r\n"
    room.valid("whitespace", "whitespace around JSON tokens is fine", mint(spaced))
    room.valid(
        "escaped_names",
        "member names may be escaped",
        mint(good.replace(b'"exp"', rb'"\u0065xp"')),
    )
    same = raw_claims('"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}]')
    room.valid(
        "same_name_elsewhere",
        "V18 one name in several objects is no duplicate",
        mint(same),
    )


def depth(room: Room) -> None:
    for name, nested, good in (
        ("depth_16", 15, True),
        ("depth_17", 16, False),
        ("depth_5000", 4999, False),
    ):
        why = f"V17 {nested + 1} levels, the claims object being the first"
        jws = mint(raw_claims(f'"x":{"[" * nested}{"]" * nested}'))
        if good:
            room.valid(name, why, jws)
        else:
            room.refuse(CODE, name, why, jws)
    objects = '{"a":' * 16 + "{}" + "}" * 16
    room.refuse(
        CODE,
        "depth_18_objects",
        "V17 18 levels of objects",
        mint(raw_claims(f'"x":{objects}')),
    )
    brackets = '"x":"' + "[{" * 200 + '"'
    room.valid(
        "brackets_in_string",
        "V17 brackets inside a string are no levels",
        mint(raw_claims(brackets)),
    )


def wrong_types(room: Room) -> None:
    def refuse(claim: str, **values: Any) -> None:
        for kind, value in values.items():
            jws = mint(claims(**{claim: value}))
            room.refuse(
                CODE,
                f"{claim}_{kind}",
                f"V20 {claim} is of the wrong type: {kind}",
                jws,
            )

    for claim in ("iss", "sub", "client_id", "jti", "sid", "tenant_id", "acr", "scope"):
        refuse(claim, null=None, number=1, array=[CLAIMS[claim]])
    refuse("iss", object={"url": CLAIMS["iss"]})
    refuse("sub", true=True)
    refuse(
        "aud",
        null=None,
        number=1,
        object={"raptor": 1},
        empty_array=[],
        mixed=["raptor", 1],
        with_null=["raptor", None],
        nested=[["raptor"]],
    )
    for claim in ("exp", "nbf", "iat", "auth_time", "authz_ver"):
        refuse(
            claim,
            null=None,
            string=str(CLAIMS.get(claim, NOW)),
            true=True,
            array=[NOW + 60],
        )
    refuse("exp", object={"t": NOW + 60}, string_empty="")
    for claim in ("roles", "amr"):
        refuse(
            claim,
            null=None,
            string="antlers-user",
            number_inside=["a", 1],
            null_inside=[None],
            object={"a": 1},
        )
    refuse("status", null=None, string="active", array=[], number=0)
    foreign = mint(claims(sub=1), header(typ="JWT"))
    room.refuse(
        CODE,
        "foreign_sub_number",
        "V20 profile jwt: sub is a string when it is there",
        foreign,
        profile="jwt",
    )
    foreign = mint(claims(roles="admin"), header(typ="JWT"))
    room.refuse(
        CODE,
        "foreign_roles_string",
        "V20 a profile changes no type",
        foreign,
        profile="jwt",
    )
    empty = mint(claims(roles=[], amr=[], scope="", status={}))
    room.valid(
        "empty_values",
        "empty arrays, an empty scope and an empty status are of the right type",
        empty,
    )


def numbers(room: Room) -> None:
    for name, why, member in (
        ("exp_minus_one", "V21 -1 must not wrap around to the far future", '"exp":-1'),
        ("exp_minus_fraction", "V21 below zero by a fraction", '"exp":-0.5'),
        ("exp_over_2_53", "V21 2^53 + 2", '"exp":9007199254740994'),
        (
            "exp_over_2_53_by_one",
            "V21 2^53 + 1, which a double cannot hold",
            '"exp":9007199254740993',
        ),
        ("exp_2_63", "V21 2^63", '"exp":9223372036854775808'),
        ("exp_2_64", "V21 2^64", '"exp":18446744073709551616'),
        ("exp_1e30", "V21 1e30", '"exp":1e30'),
        ("exp_1e400", "V21 1e400 is beyond a double", '"exp":1e400'),
        ("exp_minus_1e400", "V21 -1e400 is beyond a double", '"exp":-1e400'),
    ):
        room.refuse(CODE, name, why, mint(raw_claims(member, "exp")))
    for name, why, member in (
        ("nbf_under_2_53", "V21 nbf below -2^53", '"nbf":-9007199254740994'),
        ("nbf_1e400", "V21 nbf beyond a double", '"nbf":-1e400'),
        ("unknown_1e400", "V21 an unknown claim beyond a double", '"x":1e400'),
        ("nested_1e400", "V21 a nested number beyond a double", '"x":{"y":[-1e999]}'),
    ):
        room.refuse(CODE, name, why, mint(raw_claims(member)))
    for claim, member in (("iat", '"iat":1e300'), ("auth_time", '"auth_time":-1')):
        room.refuse(
            CODE,
            f"{claim}_out_of_range",
            f"V21 {claim} out of range",
            mint(raw_claims(member, claim)),
        )
    large = raw_claims('"x":1e308,"y":-1e308,"z":123456789012345678901234567890')
    room.valid(
        "numbers_within_double",
        "unknown claims may hold any number a double can",
        mint(large),
    )
