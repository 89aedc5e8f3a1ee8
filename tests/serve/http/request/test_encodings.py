"""Bodies that come encoded: what is decoded, what is refused, and what a bomb costs."""

import gzip
import json
import tracemalloc
import zlib

import brotli
import pytest
from backports import zstd

from serve.http.request.encodings import (
    TooLargeError,
    UnknownEncodingError,
    WrongEncodingError,
    decoded,
    encodings_of,
)
from serve.profile.sections import HttpSection
from tests.fakes import house

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello " * 500}]}
TEXT = json.dumps(CHAT).encode()
LIMIT = 65_536


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def in_pieces(data: bytes) -> bytes:
    return gzip.compress(data[:100]) + gzip.compress(data[100:])


def in_frames(data: bytes) -> bytes:
    return zstd.compress(data[:100]) + zstd.compress(data[100:])


ENCODED = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("gzip", in_pieces),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", brotli.compress),
    ("zstd", zstd.compress),
    ("zstd", in_frames),
    ("identity", bytes),
    ("identity, gzip", gzip.compress),
    (" gzip ,", gzip.compress),
    ("", bytes),
    ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
    ("deflate, zstd, gzip", lambda d: gzip.compress(zstd.compress(zlib.compress(d)))),
]


@pytest.mark.parametrize(("named", "encode"), ENCODED)
async def test_a_body_is_decoded_and_reaches_vllm_plain(named: str, encode: object) -> None:
    at = house()
    done = await at.ask(raw=encode(TEXT), headers={"content-encoding": named})
    assert done.status == 200
    assert at.app.bodies == [TEXT]
    headers = dict(at.app.scopes[0]["headers"])
    assert b"content-encoding" not in headers
    assert int(headers[b"content-length"]) == len(TEXT)


@pytest.mark.parametrize("named", ["compress", "base64", "lz4", "gzip, snappy", "gzip;q=1", "*"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/tokenize"])
async def test_what_nothing_here_decodes_is_a_415_that_says_what_is(path: str, named: str) -> None:
    at = house()
    done = await at.ask(path, raw=b"x", headers={"content-encoding": named})
    assert done.status == 415
    assert done.answer_headers["accept-encoding"] == "gzip, deflate, br, zstd, identity"
    assert named.rsplit(",", maxsplit=1)[-1].strip() in done.answer_json["error"]["message"]
    assert at.app.scopes == []


@pytest.mark.parametrize("named", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
@pytest.mark.parametrize("kind", ["plain", "cut", "followed", "other", "flipped"])
def test_a_body_that_is_not_what_it_says_is_wrong(named: str, kind: str) -> None:
    encode = dict(ENCODED[3:4] + ENCODED[4:5] + ENCODED[6:8])
    encode["gzip"] = gzip.compress
    whole = TEXT if kind == "plain" else encode.get(named, gzip.compress)(TEXT)
    body = {
        "plain": whole,
        "cut": whole[:-6],
        "followed": whole + b"and more",
        "other": b"BZh91AY&SY" + whole,
        "flipped": bytes([whole[0] ^ 255]) + whole[1:],
    }[kind]
    with pytest.raises(WrongEncodingError):
        decoded(body, encodings_of([named]), max_bytes=LIMIT)


@pytest.mark.parametrize("named", ["gzip", "deflate", "br", "zstd"])
async def test_plain_json_that_claims_to_be_encoded_is_a_400(named: str) -> None:
    done = await house().ask(raw=TEXT, headers={"content-encoding": named})
    assert done.status == 400
    assert named in done.answer_json["error"]["message"]


ZEROS = bytes(64 * 1024 * 1024)


@pytest.mark.parametrize(
    ("named", "bomb"),
    [
        ("gzip", gzip.compress(ZEROS)),
        ("deflate", zlib.compress(ZEROS)),
        ("deflate", raw_deflate(ZEROS)),
        ("br", brotli.compress(ZEROS, quality=5)),
        ("zstd", zstd.compress(ZEROS)),
        ("gzip, gzip", gzip.compress(gzip.compress(ZEROS))),
        ("gzip, zstd", zstd.compress(gzip.compress(ZEROS))),
        ("gzip", gzip.compress(bytes(LIMIT - 1)) + gzip.compress(bytes(2))),
    ],
    ids=range(8),  # compressed bytes hold the time of day
)
async def test_a_bomb_is_a_413_and_costs_no_more_than_the_limit(named: str, bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            decoded(bomb, encodings_of([named]), max_bytes=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 8 * LIMIT
    finally:
        tracemalloc.stop()
    limits = HttpSection(max_body_bytes=LIMIT)
    if len(bomb) <= LIMIT:
        done = await house(limits=limits).ask(raw=bomb, headers={"content-encoding": named})
        assert done.status == 413
        assert str(LIMIT) in done.answer_json["error"]["message"]


@pytest.mark.parametrize(("named", "encode"), ENCODED[:1] + ENCODED[4:8])
def test_what_just_fits_passes(named: str, encode: object) -> None:
    data = bytes(range(256)) * (LIMIT // 256)
    assert decoded(encode(data), encodings_of([named]), max_bytes=LIMIT) == data
    with pytest.raises(TooLargeError):
        decoded(encode(data + b"x"), encodings_of([named]), max_bytes=LIMIT)


@pytest.mark.parametrize("piece", [gzip.compress(b""), zstd.compress(b"")], ids=["gzip", "zstd"])
def test_pieces_without_end_are_wrong(piece: bytes) -> None:
    named = "gzip" if piece[:2] == b"\x1f\x8b" else "zstd"
    with pytest.raises(WrongEncodingError, match="pieces"):
        decoded(piece * 10_000, encodings_of([named]), max_bytes=LIMIT)


def test_a_window_larger_than_every_decoder_takes_is_wrong() -> None:
    options = {zstd.CompressionParameter.window_log: 27}
    stream = zstd.ZstdCompressor(options=options)
    body = stream.compress(ZEROS) + stream.flush()
    with pytest.raises(WrongEncodingError):
        decoded(body, ["zstd"], max_bytes=LIMIT)


def test_encodings_in_several_headers_are_one_list() -> None:
    assert encodings_of(["gzip", "br, identity"]) == ("br", "gzip")


def test_more_encodings_than_any_client_sends_are_refused() -> None:
    with pytest.raises(UnknownEncodingError, match="5 encodings"):
        encodings_of(["gzip," * 5])


async def test_a_body_of_our_own_routes_is_decoded_too() -> None:
    body = gzip.compress(b'{"model": "m", "prompt": "x"}')
    at = house()
    done = await at.ask("/v1/admission/explain", raw=body, headers={"content-encoding": "gzip"})
    assert done.answer_json["route"] == "/v1/completions"


async def test_a_request_without_a_body_may_name_an_encoding() -> None:
    done = await house().ask("/v1/admission/drain", raw=b"", headers={"content-encoding": "gzip"})
    assert done.status == 202
