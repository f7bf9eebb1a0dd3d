"""Decompressing a response costs little, whatever its decompressed size."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib

import pytest

LIMIT = 64 * 1024
TEXT = b'{"meta": {"requestId": "r-1"}}'
MUCH = 60 * 1024 * 1024


def deflated(body: bytes) -> bytes:
    """Compress as some servers do: without the header that the standard requires."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()


def bomb() -> bytes:
    return gzip.compress(b" " * MUCH, 9)


def sent(encoding: str, body: bytes, length: str) -> bytes:
    return f"HTTP/1.1 201 Created\r\nContent-Encoding: {encoding}\r\n{length}\r\n\r\n".encode() + body


PACKED = {
    "gzip": bomb(),
    "gzip, gzip": gzip.compress(bomb()),
    "gzip, gzip, gzip": gzip.compress(gzip.compress(bomb())),
    "deflate": zlib.compress(b" " * MUCH, 9),
    "deflate, gzip": gzip.compress(zlib.compress(b" " * MUCH, 9)),
    "gzip, deflate": deflated(bomb()),
}


@pytest.mark.parametrize("framing", ["length", "chunked", "until it closes"])
@pytest.mark.parametrize("encoding", PACKED)
def test_a_response_that_unpacks_to_much_costs_little(client, serve, request_to, encoding, framing):
    body = PACKED[encoding]
    if framing == "length":
        answer = sent(encoding, body, f"Content-Length: {len(body)}")
    elif framing == "chunked":
        answer = sent(encoding, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), "Transfer-Encoding: chunked")
    else:
        answer = sent(encoding, body, "Connection: close")

    def talk(connection):
        server.read_request(connection)
        connection.sendall(answer)

    server = serve(talk)
    began = time.monotonic()
    tracemalloc.start()
    try:
        response = client.send(request_to(server.url))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert response.status == 201
    assert len(response.body) <= LIMIT
    assert peak < 4 * 1024 * 1024
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("X-GZIP", gzip.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", deflated(TEXT)),
        ("gzip, gzip", gzip.compress(gzip.compress(TEXT))),
        ("identity", TEXT),
        ("identity, gzip", gzip.compress(TEXT)),
    ],
    ids=["gzip", "its old name", "deflate", "deflate without a header", "twice", "identity", "identity and gzip"],
)
def test_what_a_server_packs_unasked_is_read(client, serve, request_to, encoding, body):
    server = serve(sent(encoding, body, f"Content-Length: {len(body)}"))
    assert client.send(request_to(server.url)).body == TEXT


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, br", "gzip, gzip, gzip, gzip"])
def test_other_encodings_and_long_chains_are_left_as_they_are(client, serve, request_to, encoding):
    body = gzip.compress(TEXT)
    server = serve(sent(encoding, body, f"Content-Length: {len(body)}"))
    assert client.send(request_to(server.url)).body == body


def test_no_encoding_is_asked_for(api, tracker):
    tracker.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert api.requests[0].headers["accept-encoding"] == "identity"
