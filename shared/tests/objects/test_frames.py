"""The parser against nats-py's own: the same messages, however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagesystem.objects.frames import Frames
from nats.errors import ProtocolError
from nats.protocol.parser import Parser


class Recorder:
    """What a parser tells its client."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    async def _process_msg(self, *message: object) -> None:
        self.seen.append(("message", *message))

    async def _process_ping(self) -> None:
        self.seen.append(("ping",))

    async def _process_pong(self) -> None:
        self.seen.append(("pong",))

    async def _process_err(self, text: str) -> None:
        self.seen.append(("error", text))

    async def _process_info(self, info: dict[str, object]) -> None:
        self.seen.append(("info", info))


def message(payload: bytes, reply: bytes, headers: bytes) -> bytes:
    reply = reply and reply + b" "
    if not headers:
        return b"MSG a.b 7 %s%d\r\n%s\r\n" % (reply, len(payload), payload)
    block = b"NATS/1.0\r\n" + headers + b"\r\n\r\n"
    size = len(block) + len(payload)
    return b"HMSG a.b 7 %s%d %d\r\n%s%s\r\n" % (reply, len(block), size, block, payload)


MESSAGES = st.builds(
    message,
    st.one_of(st.binary(max_size=40), st.just(b"\r\n"), st.just(b"x" * 5000)),
    st.sampled_from([b"", b"reply.to"]),
    st.sampled_from([b"", b"a: b", b"a: b\r\nc: d"]),
)
OTHERS = st.sampled_from(
    [b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'wrong'\r\n", b'INFO {"a": "b"}\r\n']
)


@given(st.lists(st.one_of(MESSAGES, OTHERS), max_size=8), st.data())
async def test_every_cut_gives_what_nats_py_reads(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frames)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    edges = [0, *cuts, len(stream)]
    ours, theirs = Recorder(), Recorder()
    parser, reference = Frames(ours), Parser(theirs)
    for start, stop in zip(edges, edges[1:], strict=False):  # noqa: RUF007  pairs, named
        await parser.parse(stream[start:stop])
    await reference.parse(stream)
    assert ours.seen == theirs.seen


@pytest.mark.parametrize("line", [b"MSG a\r\n", b"MSG a b c\r\n", b"HMSG a 1 x\r\n", b"what\r\n"])
async def test_nonsense_is_a_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        await Frames(Recorder()).parse(line)


async def test_a_line_without_an_end_is_a_protocol_error() -> None:
    parser = Frames(Recorder())
    with pytest.raises(ProtocolError):
        for _ in range(40):
            await parser.parse(b"x" * 100_000)


async def test_a_reset_forgets_half_a_message() -> None:
    recorder = Recorder()
    parser = Frames(recorder)
    await parser.parse(b"MSG a 1 10\r\n12345")
    parser.reset()
    await parser.parse(b"PING\r\n")
    assert recorder.seen == [("ping",)]
