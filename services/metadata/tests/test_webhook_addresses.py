"""Where webhooks may not go, however an endpoint tries to lead them there."""

from __future__ import annotations

import ipaddress
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from imagesystem.errors import Rejected
from imagesystem.metrics import Metrics
from metadata_service.measures import Measures
from metadata_service.webhooks.addresses import Address, refusal
from metadata_service.webhooks.endpoints import Endpoints, parse_url, retry_after
from metadata_service.webhooks.signing import new_secret
from metadata_service.webhooks.transport import CheckedTransport, Resolver, resolve

from services.metadata.tests.endpoints import Endpoint, Reply, endpoint

PUBLIC = ipaddress.ip_address("93.184.215.14")
LOOPBACK = ipaddress.ip_address("127.0.0.1")


@pytest.fixture
async def receiver() -> AsyncIterator[Endpoint]:
    async with endpoint() as listening:
        yield listening


class Names:
    """A resolver that answers as it is told to, one answer after the other."""

    def __init__(self, *answers: list[Address]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> list[Address]:
        del port
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def endpoints(
    resolver: Resolver, *, allow: bool = False, certificates: ssl.SSLContext | None = None
) -> Endpoints:
    transport = CheckedTransport(allow_private=allow, resolver=resolver, certificates=certificates)
    return Endpoints(transport, Measures(Metrics()), timeout_s=30)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.8.9.10", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.127.255.254",
        "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
        "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:0:7f00:1::", "2001:db8::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1",
        "ff02::1", "100::1",
    ],
)  # fmt: skip
def test_what_is_near_is_refused(text: str):
    assert refusal(ipaddress.ip_address(text)) is not None


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111"]
)
def test_what_is_public_is_not(text: str):
    assert refusal(ipaddress.ip_address(text)) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://localhost:{port}/",
        "http://127.1:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://0:{port}/",
    ],
)
async def test_nothing_is_sent_to_this_machine_however_it_is_written(receiver: Endpoint, url: str):
    sender = endpoints(resolve)
    answer = await sender.send(url.format(port=receiver.port), new_secret(), "m", b"{}")
    await sender.close()
    assert not answer.delivered
    assert receiver.requests == []


async def test_a_name_is_judged_by_the_address_it_has(receiver: Endpoint):
    sender = endpoints(Names([LOOPBACK]).resolve)
    with pytest.raises(Rejected, match="this machine itself") as refused:
        await sender.check(parse_url("https://hooks.example.com/"))
    assert refused.value.code == "address_refused"
    url = f"http://hooks.example.com:{receiver.port}/"
    answer = await sender.send(url, new_secret(), "m", b"{}")
    await sender.close()
    assert "WEBHOOK_ALLOW_PRIVATE" in (answer.error or "")
    assert receiver.requests == []


async def test_a_name_with_one_address_near_is_refused_whole(receiver: Endpoint):
    sender = endpoints(Names([PUBLIC, LOOPBACK]).resolve)
    answer = await sender.send(f"http://a.example:{receiver.port}/", new_secret(), "m", b"{}")
    await sender.close()
    assert "AddressRefused" in (answer.error or "")
    assert receiver.requests == []


async def test_a_name_that_resolves_differently_the_second_time_leads_nowhere(receiver: Endpoint):
    """DNS rebinding: public when it is registered, near when it is used."""
    names = Names([PUBLIC], [LOOPBACK])
    sender = endpoints(names.resolve)
    await sender.check(parse_url(f"http://rebind.example:{receiver.port}/"))
    answer = await sender.send(f"http://rebind.example:{receiver.port}/", new_secret(), "m", b"{}")
    await sender.close()
    assert "AddressRefused" in (answer.error or "")
    assert receiver.requests == []


async def test_a_request_resolves_once_and_goes_to_what_was_checked(receiver: Endpoint):
    """Between check and connection nobody asks again: the second answer would be refused."""
    names = Names([LOOPBACK], [ipaddress.ip_address("192.0.2.1")])
    sender = endpoints(names.resolve, allow=True)
    url = f"http://pinned.example:{receiver.port}/hook"
    answer = await sender.send(url, new_secret(), "m", b"{}")
    await sender.close()
    assert answer.delivered
    assert names.asked == ["pinned.example"]
    assert receiver.requests[0].headers["host"] == f"pinned.example:{receiver.port}"


async def test_a_redirect_is_not_followed(receiver: Endpoint):
    async with endpoint() as inside:
        location = {"location": inside.url}
        for status in (301, 302, 303, 307, 308):
            receiver.reply = lambda _, status=status: Reply(status=status, headers=location)
            sender = endpoints(Names([LOOPBACK]).resolve, allow=True)
            answer = await sender.send(receiver.url, new_secret(), "m", b"{}")
            await sender.close()
            assert (answer.delivered, answer.status_code) == (False, status)
            assert "redirects are not followed" in (answer.error or "")
        assert inside.requests == []


async def test_no_proxy_of_the_environment_is_used(
    receiver: Endpoint, monkeypatch: pytest.MonkeyPatch
):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, receiver.url)
    sender = endpoints(Names([LOOPBACK]).resolve)
    answer = await sender.send("http://anything.example/", new_secret(), "m", b"{}")
    await sender.close()
    assert not answer.delivered
    assert receiver.requests == []


async def test_an_endpoint_that_does_not_end_is_left(receiver: Endpoint):
    transport = CheckedTransport(allow_private=True)
    sender = Endpoints(transport, Measures(Metrics()), timeout_s=0.2)
    receiver.reply = lambda _: Reply(hangs=True)
    answer = await sender.send(receiver.url, new_secret(), "m", b"{}")
    assert answer.error == "no answer within 0.2 s"
    await sender.close()
    sender = Endpoints(CheckedTransport(allow_private=True), Measures(Metrics()), timeout_s=60)
    receiver.reply = lambda _: Reply(status=200, body=b"x" * 20_000_000)
    answer = await sender.send(receiver.url, new_secret(), "m", b"{}")  # its body is not read
    await sender.close()
    assert answer.delivered


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Return a certificate of `hooks.example`, and its key."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=hooks.example",
            "-addext", "subjectAltName=DNS:hooks.example",
            "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return tmp_path / "certificate.pem", tmp_path / "key.pem"


@pytest.mark.parametrize("name", ["hooks.example", "other.example"])
async def test_the_certificate_must_be_that_of_the_name(certificate: tuple[Path, Path], name: str):
    """The connection goes to an address, yet the certificate is checked against the name."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(*certificate)
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    async with endpoint(served) as receiver:
        sender = endpoints(Names([LOOPBACK]).resolve, allow=True, certificates=trusted)
        url = f"https://{name}:{receiver.port}/"
        answer = await sender.send(url, new_secret(), "m", b"{}")
        await sender.close()
    assert answer.delivered == (name == "hooks.example"), answer.error
    assert len(receiver.requests) == (name == "hooks.example")


async def test_authorities_are_read_when_something_is_sent(monkeypatch: pytest.MonkeyPatch):
    """Who has no webhooks does not wait for them at each start."""

    def read(**_: object) -> ssl.SSLContext:
        raise AssertionError("nothing is sent")

    monkeypatch.setattr(httpx, "create_ssl_context", read)
    transport = CheckedTransport(allow_private=False)
    await transport.aclose()


async def test_a_name_without_an_address_is_a_failed_attempt():
    async def nothing(host: str, port: int) -> list[Address]:
        raise OSError(f"{host}:{port} is unknown")

    sender = endpoints(nothing)
    await sender.check(parse_url("https://nowhere.example/"))  # it may get one
    answer = await sender.send("https://nowhere.example/", new_secret(), "m", b"{}")
    await sender.close()
    assert "has no address" in (answer.error or "")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("99999999", 86400.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
    ],
)
def test_retry_after(text: str, seconds: float | None):
    assert retry_after(text) == seconds


def test_urls_keep_their_port_and_path():
    assert parse_url(" https://example.com:8443/a?b=c ") == httpx.URL(
        "https://example.com:8443/a?b=c"
    )


async def test_names_in_other_scripts_are_resolved_as_they_are_sent(receiver: Endpoint):
    names = Names([LOOPBACK])
    sender = endpoints(names.resolve, allow=True)
    answer = await sender.send(f"http://bücher.example:{receiver.port}/", new_secret(), "m", b"{}")
    await sender.close()
    assert answer.delivered
    assert names.asked == ["xn--bcher-kva.example"]
    assert receiver.requests[0].headers["host"] == f"xn--bcher-kva.example:{receiver.port}"
