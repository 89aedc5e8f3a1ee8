"""Decodes request bodies: gzip, deflate, zstd and br, also nested.

No layer's output grows beyond the bound, so a decompression bomb costs no more than a body of
that size.
"""

import zlib
from collections.abc import Callable, Iterable
from typing import Protocol

import brotli  # type: ignore[import-untyped] # it has no types of its own
from backports import zstd

ACCEPTED = "gzip, deflate, br, zstd, identity"
_LAYERS_MAX = 4  # more than any client sends; each layer may cost the bound
_PIECES_MAX = 100  # gzip members, zstd frames: many empty ones would cost time
_ZSTD_WINDOW_MAX_LOG = 23  # 8 MiB: the window that RFC 8878 asks every decoder to support
_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's `wbits`
_ZLIB_METHOD, _ZLIB_CHECK = 8, 31  # of a zlib header: deflate, and what its two bytes divide by

_Decode = Callable[[bytes, int], bytes]


class UnknownEncodingError(ValueError):
    """An encoding that is not supported; the message names it."""


class WrongEncodingError(ValueError):
    """The body does not match its Content-Encoding."""


class TooLargeError(ValueError):
    """The decoded body exceeds the bound."""


def encodings_of(values: Iterable[str]) -> tuple[str, ...]:
    """The encodings of all `Content-Encoding` headers, the last applied first, no `identity`.

    Raises UnknownEncodingError.
    """
    named = [word.strip().lower() for value in values for word in value.split(",")]
    applied = tuple(name for name in reversed(named) if name not in ("", "identity"))
    for name in applied:
        if name not in _DECODERS:
            raise UnknownEncodingError(name[:40])
    if len(applied) > _LAYERS_MAX:
        raise UnknownEncodingError(f"{len(applied)} encodings in one another")
    return applied


def decoded(body: bytes, encodings: Iterable[str], *, max_bytes: int) -> bytes:
    """`body` decoded, at most `max_bytes`. Raises WrongEncodingError and TooLargeError.

    Takes time proportional to `max_bytes`: call it off the event loop.
    """
    for name in encodings:
        try:
            body = _DECODERS[name](body, max_bytes + 1)
        except (zlib.error, brotli.error, zstd.ZstdError, EOFError) as fault:
            raise WrongEncodingError(f"{name}: {fault}") from fault
        if len(body) > max_bytes:
            raise TooLargeError
    return body


class _Stream(Protocol):
    """The common part of zlib's and zstd's decompressors."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _pieces(open_stream: Callable[[], _Stream], body: bytes, limit: int) -> bytes:
    """Decodes a body of several members or frames in a row."""
    out = b""
    for _ in range(_PIECES_MAX):
        stream = open_stream()
        out += stream.decompress(body, limit - len(out))
        if len(out) >= limit:
            return out
        if not stream.eof:
            raise EOFError("it ends too early")
        body = stream.unused_data
        if not body:
            return out
    raise EOFError(f"more than {_PIECES_MAX} pieces")


def _gzip(body: bytes, limit: int) -> bytes:
    return _pieces(lambda: zlib.decompressobj(_GZIP), body, limit)


def _zstd(body: bytes, limit: int) -> bytes:
    options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_MAX_LOG}
    return _pieces(lambda: zstd.ZstdDecompressor(options=options), body, limit)


def _deflate(body: bytes, limit: int) -> bytes:
    """Zlib format (RFC 9110), or raw deflate as some clients send it."""
    head = body[:2]
    framed = (
        len(head) == 2  # noqa: PLR2004 - bytes of a zlib header
        and head[0] & 15 == _ZLIB_METHOD
        and int.from_bytes(head, "big") % _ZLIB_CHECK == 0
    )
    stream = zlib.decompressobj(_ZLIB if framed else _RAW)
    out = stream.decompress(body, limit)
    if len(out) < limit and (not stream.eof or stream.unused_data):
        raise EOFError("something follows its end" if stream.eof else "it ends too early")
    return out


def _brotli(body: bytes, limit: int) -> bytes:
    stream = brotli.Decompressor()
    out = stream.process(body, output_buffer_limit=limit)
    while len(out) < limit and not stream.is_finished():
        piece = stream.process(b"", output_buffer_limit=limit - len(out))
        if not piece:
            raise EOFError("it ends too early")
        out += piece
    return bytes(out)


_DECODERS: dict[str, _Decode] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
