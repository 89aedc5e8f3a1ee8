"""Server-sent events, block by block: the lines of a body and their fields. Pure."""

_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"id", b"retry")


class LineReader:
    """Blocks of bytes in, complete lines out; a line ends with LF, CR LF or CR."""

    __slots__ = ("_after_cr", "_begun", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._after_cr = False
        self._begun = False

    def read(self, block: bytes) -> list[bytes]:
        """Lines that this block completes, without their ends."""
        if not self._begun:
            self._begun = True
            block = block.removeprefix(_BOM)
        if self._after_cr and block[:1] == b"\n":
            block = block[1:]  # the second half of a CR LF
        if not block:
            return []
        self._after_cr = block[-1:] == b"\r"
        lines = block.splitlines()
        unfinished = b"" if block[-1:] in b"\r\n" else lines.pop()
        if self._rest and lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += unfinished
        return lines

    def rest(self) -> bytes:
        """The last line, where the body ended without a line end; empty from then on."""
        left = bytes(self._rest)
        self._rest.clear()
        return left


def field(line: bytes) -> tuple[bytes, bytes] | None:
    """Name and value of a line; the name is empty for a comment, None = no field of a stream."""
    name, colon, value = line.partition(b":")
    if not name:
        return b"", value
    if not colon or name not in _FIELDS:
        return None
    return name, value.removeprefix(b" ")
