"""The body of an answer as it comes, in whatever pieces.

`readline` of geventhttpclient waits for a line end of one kind, and keeps back what has none;
`read` waits for so many bytes. Its buffer is reached into here, and nowhere else.
"""

from geventhttpclient.response import HTTPConnectionClosed, HTTPSocketPoolResponse


def next_block(response: HTTPSocketPoolResponse) -> bytes:
    """What has come since; waits for some. Empty = the body has ended as it should."""
    buffer = response._body_buffer  # noqa: SLF001 - see above; tests/loadtests/client/test_client.py
    while not buffer and not response.message_complete:
        connection = response._sock  # noqa: SLF001 - the same
        if connection is None:
            raise HTTPConnectionClosed("connection closed")
        try:
            response.feed(connection.recv(response.block_size))
        except BaseException:
            response.release()
            raise
    block = bytes(buffer)
    buffer.clear()
    return block
