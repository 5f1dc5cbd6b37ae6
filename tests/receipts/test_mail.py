"""Receipts over a real SMTP server: what is known of each answer, and that none is sent twice."""

from __future__ import annotations

import email
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

from wattledger.db.effects import Done, Effect, NotSent, Rejected, Unknown
from wattledger.entitlements.payment_checks import is_address
from wattledger.errors import BadInput, NotFound
from wattledger.receipts.mail import Attachment, MailGate, Message, compose
from wattledger.receipts.settings import MailSettings, check_mail

AT = datetime(2026, 11, 3, 15, 0, tzinfo=UTC)


class Box:
    """A mail server's inside: keeps what it takes, and answers as it is told."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.to = "250 OK"
        self.data = "250 OK"

    async def handle_RCPT(self, *given: Any) -> str:
        envelope, address = given[2], given[3]
        if self.to.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.to

    async def handle_DATA(self, *given: Any) -> str:
        if self.data.startswith("250"):
            found = email.message_from_bytes(given[2].content, policy=default)
            assert isinstance(found, EmailMessage)
            self.taken.append(found)
        return self.data


@pytest.fixture
def box() -> Iterator[tuple[Box, int]]:
    inside = Box()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(inside, hostname="127.0.0.1", port=port)
    controller.start()
    yield inside, port
    controller.stop()


def effect(**changes: Any) -> Effect:
    values: dict[str, Any] = {
        "id": 1, "kind": "mail.send", "subject": "ses_1", "lane": "mail:ses_1", "attempt": 1,
        "key": "receipt:chg_1:1", "request": {"to": "ann@example.com"}, "due_at": AT, "tries": 1,
        "claim_token": "c", "first_sent_at": AT, "resolving": False,
    }  # fmt: skip
    return Effect(**{**values, **changes})


async def load(request: dict[str, Any]) -> Message:
    return Message(
        "Receipt: Kade, 3 Nov 2026", "Total: €44.00\n.a line with a dot\n",
        (Attachment("receipt.pdf", "application/pdf", b"%PDF-1.4 \r\n.\r\nx"),),
    )  # fmt: skip


def gate(port: int, **changes: Any) -> MailGate:
    settings = MailSettings(
        host="127.0.0.1", port=port, security="none", sender="Charging <r@example.com>",
        timeout_s=2, **changes,
    )  # fmt: skip
    return MailGate(settings, str, load)


async def test_a_receipt_arrives_whole_with_its_paper(box: tuple[Box, int]) -> None:
    inside, port = box
    assert await gate(port).call(effect()) == Done({"delivery": "taken", "said": "OK"})
    (mail,) = inside.taken
    assert (mail["To"], mail["From"]) == ("ann@example.com", "Charging <r@example.com>")
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == "Total: €44.00\n.a line with a dot\n"
    (paper,) = mail.iter_attachments()
    assert paper.get_filename() == "receipt.pdf"
    assert paper.get_content() == b"%PDF-1.4 \r\n.\r\nx"


async def test_the_same_effect_is_the_same_message_to_the_letter() -> None:
    settings = MailSettings(host="h", sender="r@example.com")
    message = await load({})
    first = compose(settings, effect(), message)
    assert first == compose(settings, effect(tries=9), message)
    ids = [line for line in first.split(b"\r\n") if line.startswith(b"Message-ID")]
    assert len(ids) == 1
    assert ids[0].endswith(b"@example.com>")


@pytest.mark.parametrize("at", ["to", "data"])
async def test_a_4xx_is_tried_again_and_a_5xx_never(box: tuple[Box, int], at: str) -> None:
    inside, port = box
    setattr(inside, at, "451 greylisted, come again")
    assert await gate(port).call(effect()) == NotSent("451 greylisted, come again")
    setattr(inside, at, "550 no such mailbox")
    assert await gate(port).call(effect()) == Rejected({"code": "550", "said": "no such mailbox"})
    assert inside.taken == []


async def test_silence_after_the_message_is_unknown_and_it_is_not_sent_again() -> None:
    """A server that takes the whole message and hangs up without a word."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_mute, args=(listening, seen), daemon=True)
        thread.start()
        found = gate(listening.getsockname()[1])
        outcome = await found.call(effect())
        thread.join(5)
        assert isinstance(outcome, Unknown)
        assert b"Total" in b"".join(seen)
        # Nothing is sent to find out: there is nobody to ask.
        assert await found.resolve(effect(resolving=True)) == Done({"delivery": "unknown"})
        listening.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listening.accept()


def _mute(listening: socket.socket, seen: list[bytes]) -> None:
    conn, _ = listening.accept()
    with conn:
        conn.sendall(b"220 mute\r\n")
        for answer in (b"250 hello\r\n", b"250 OK\r\n", b"250 OK\r\n", b"354 go on\r\n"):
            conn.recv(1000)
            conn.sendall(answer)
        while not b"".join(seen).endswith(b"\r\n.\r\n"):
            seen.append(conn.recv(10_000))


async def test_a_server_that_is_not_there_has_sent_nothing() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        outcome = await gate(probe.getsockname()[1]).call(effect())
    assert isinstance(outcome, NotSent)


async def test_a_server_that_asks_for_no_encryption_gets_no_password(box: tuple[Box, int]) -> None:
    inside, port = box
    settings = MailSettings(
        host="127.0.0.1", port=port, sender="r@example.com", user="u", password_env="P"
    )
    outcome = await MailGate(settings, str, load).call(effect())
    assert isinstance(outcome, NotSent)  # starttls is not offered
    assert inside.taken == []


class Known:
    """Who may send, by name and password."""

    def __call__(
        self, server: Any, session: Any, envelope: Any, way: str, given: Any
    ) -> AuthResult:
        right = (given.login, given.password) == (b"lind", b"open sesame")
        return AuthResult(success=right)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Box, int, Path]]:
    """A server that takes mail only over TLS and from whom it knows; its own certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paper, secret = tmp_path / "cert.pem", tmp_path / "key.pem"
    paper.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paper, secret)
    inside = Box()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(
        inside, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True,
        authenticator=Known(), auth_required=True,
    )  # fmt: skip
    controller.start()
    yield inside, port, paper
    controller.stop()


@pytest.mark.parametrize(
    ("trusted", "password", "delivered"),
    [(True, "open sesame", 1), (True, "wrong", 0), (False, "open sesame", 0)],
)
async def test_a_password_goes_over_tls_and_only_to_a_server_that_is_trusted(
    guarded: tuple[Box, int, Path], monkeypatch: pytest.MonkeyPatch,
    trusted: bool, password: str, delivered: int,
) -> None:  # fmt: skip
    inside, port, paper = guarded
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(paper))
    settings = MailSettings(
        host="127.0.0.1", port=port, sender="r@example.com", user="lind", password_env="P",
        timeout_s=2,
    )  # fmt: skip
    outcome = await MailGate(settings, lambda name: password, load).call(effect())
    assert len(inside.taken) == delivered
    if delivered:
        assert outcome == Done({"delivery": "taken", "said": "OK"})
    else:
        assert isinstance(outcome, NotSent)
        assert password not in outcome.why


async def test_a_session_that_is_gone_is_refused_not_tried_for_ever(box: tuple[Box, int]) -> None:
    async def gone(request: dict[str, Any]) -> Message:
        raise NotFound("no session ses_1")

    _, port = box
    settings = MailSettings(host="127.0.0.1", port=port, security="none", sender="r@example.com")
    outcome = await MailGate(settings, str, gone).call(effect())
    assert outcome == Rejected({"code": "nothing_to_send", "why": "no session ses_1"})


def test_a_line_break_in_a_name_adds_no_header() -> None:
    settings = MailSettings(host="h", sender="r@example.com")
    raw = compose(settings, effect(), Message("Receipt: x\r\nBcc: all@example.com", "t\n"))
    assert b"\r\nBcc:" not in raw


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"security": "none"}, "$.mail.security"),
        ({"user": "u"}, "$.mail.password_env"),
        ({"password_env": "P"}, "$.mail.user"),
        ({"sender": "nobody"}, "$.mail.sender"),
        ({"reply_to": "a@b\nBcc: c@d"}, "$.mail.reply_to"),
    ],
)
def test_the_section_says_what_it_may_not(changes: dict[str, str], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_mail(MailSettings(**{"host": "mail.example.com", "sender": "r@x.org", **changes}))  # type: ignore[arg-type]
    assert caught.value.path == path


async def test_an_address_is_said_as_plain_smtp_says_it(box: tuple[Box, int]) -> None:
    inside, port = box
    found = await gate(port).call(effect(request={"to": "ann@ex\xe4mple.com"}))
    assert isinstance(found, Done)
    assert inside.taken[0]["To"] == "ann@xn--exmple-cua.com"
    refused = await gate(port).call(effect(request={"to": "\xfc@example.com"}))
    assert isinstance(refused, Rejected)
    assert refused.response["code"] == "not_an_address"
    assert len(inside.taken) == 1


@pytest.mark.parametrize(
    "text",
    ["a:b@example.com", "a(b)@example.com", "a@b@example.com", "[x]@example.com",
     "a\\@example.com", "x@e..com", "=?utf-8?q?x?=@example.com", "a@b.c\r\nBcc: x@y.z"],
)  # fmt: skip
def test_what_a_header_reads_as_another_address_is_none(text: str) -> None:
    assert not is_address(text)
    assert is_address("ann+ev@example.com")
