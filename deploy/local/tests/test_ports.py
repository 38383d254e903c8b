from __future__ import annotations

import socket

import pytest
from local_stack import StackError, ports


@pytest.fixture
def taken() -> socket.socket:
    sock = socket.socket()
    sock.bind((ports.LOOPBACK, 0))
    sock.listen()
    return sock


@pytest.mark.parametrize("claim", [ports.listen, ports.require_free])
def test_a_taken_port_is_one_line_that_names_the_option(claim, taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    with taken, pytest.raises(StackError) as caught:
        claim(port, "--nats-port")
    assert f"port {port} is taken" in str(caught.value)
    assert "--nats-port" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_zero_means_any_port() -> None:
    with ports.listen(0, "--port") as sock:
        assert sock.getsockname()[1] > 0
    assert ports.require_free(0, "--port") > 0


def test_free_ports_differ() -> None:
    found = ports.free_ports(50)
    assert len(set(found)) == 50
