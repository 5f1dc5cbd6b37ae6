"""Receipts by e-mail, over SMTP.

A message has one id, kept over all tries, and the same bytes each time. When the server has taken
the whole message and no answer came, it may be on its way: it is never sent again on a guess, but
marked, and shown to a person.
"""

from __future__ import annotations

import asyncio
import re
import smtplib
import ssl
import time
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any

import msgspec

from wattledger.db.effects import Done, Effect, NotSent, Outcome, Rejected, Unknown
from wattledger.errors import NotFound
from wattledger.ids import derive
from wattledger.receipts.settings import MailSettings

# A message is not begun so late that its answer would come after the worker's patience.
_BEGIN_WITHIN_S = 15
_LINE_DOT = re.compile(rb"^\.", re.MULTILINE)


class Attachment(msgspec.Struct, frozen=True):
    """A file that goes with a message."""

    name: str
    kind: str
    """``application/pdf``"""
    content: bytes


class Message(msgspec.Struct, frozen=True):
    """What is written to a driver, made when it is sent."""

    subject: str
    text: str
    attachments: tuple[Attachment, ...] = ()


Load = Callable[[dict[str, Any]], Awaitable[Message]]
"""From an effect's request to its message; NotFound where there is nothing to send any more."""


class _Unanswered(Exception):
    """The server had the message, or most of it, and said nothing."""


class MailGate:
    """The way out through one mail server."""

    def __init__(self, settings: MailSettings, secrets: Callable[[str], str], load: Load) -> None:
        self._settings = settings
        name = settings.password_env
        self._password = secrets(name) if name else None
        self._load = load

    async def call(self, effect: Effect) -> Outcome:
        """Send it once."""
        try:
            message = await self._load(effect.request)
        except NotFound as error:
            return Rejected({"code": "nothing_to_send", "why": str(error)})
        try:
            raw = compose(self._settings, effect, message)
        except (ValueError, IndexError) as error:
            return Rejected({"code": "not_an_address", "why": str(error)})
        return await asyncio.to_thread(self._send, _mailbox(effect.request["to"]), raw)

    async def resolve(self, effect: Effect) -> Outcome:
        """SMTP has no way of asking: it may have been sent, so it is not sent again."""
        return Done({"delivery": "unknown"})

    def _send(self, to: str, raw: bytes) -> Outcome:
        settings = self._settings
        started_s = time.monotonic()
        try:
            with self._connected() as smtp:
                code, said = smtp.mail(parseaddr(settings.sender)[1])
                if code == 250:
                    code, said = smtp.rcpt(to)
                late = time.monotonic() - started_s > _BEGIN_WITHIN_S
                if code in (250, 251):
                    code, said = (421, b"too slow to begin a message") if late else _data(smtp, raw)
                return _answer(code, said)
        except _Unanswered as error:
            return Unknown(f"{settings.host} had the message, and gave no answer: {error}")
        except smtplib.SMTPResponseException as error:
            return NotSent(f"{settings.host}: {error.smtp_code} {_words(error.smtp_error)}")
        except (smtplib.SMTPException, OSError) as error:
            return NotSent(f"{settings.host} can't be spoken to: {type(error).__name__}")

    def _connected(self) -> smtplib.SMTP:
        """Past the greeting, encrypted and known."""
        settings = self._settings
        context = ssl.create_default_context()
        smtp: smtplib.SMTP
        if settings.security == "tls":
            smtp = smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=settings.timeout_s, context=context
            )
        else:
            smtp = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
        try:
            smtp.ehlo_or_helo_if_needed()
            if settings.security == "starttls":
                smtp.starttls(context=context)
            if settings.user is not None and self._password is not None:
                smtp.login(settings.user, self._password)
        except BaseException:
            smtp.close()
            raise
        return smtp


def compose(settings: MailSettings, effect: Effect, message: Message) -> bytes:
    """The message to the letter: of the same effect always the same."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = settings.sender
    mail["To"] = _mailbox(effect.request["to"])
    if settings.reply_to:
        mail["Reply-To"] = settings.reply_to
    mail["Subject"] = " ".join(message.subject.split())
    mail["Date"] = format_datetime(effect.due_at)
    mail["Message-ID"] = message_id(effect.key, settings.sender)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    for attachment in message.attachments:
        main, _, sub = attachment.kind.partition("/")
        mail.add_attachment(
            attachment.content, maintype=main, subtype=sub, filename=attachment.name
        )
    if mail.is_multipart():
        mail.set_boundary(derive("part", effect.key))
    return mail.as_bytes()


def _mailbox(address: str) -> str:
    """As plain SMTP says it: the domain in ASCII. Raises ValueError for a name that is not."""
    name, at, host = address.rpartition("@")
    return name.encode("ascii").decode() + at + host.encode("idna").decode()


def message_id(key: str, sender: str) -> str:
    """By it the receiver's server knows a message that came twice."""
    domain = parseaddr(sender)[1].rpartition("@")[2]
    return f"<{derive('msg', key)}@{domain}>"


def _data(smtp: smtplib.SMTP, raw: bytes) -> tuple[int, bytes]:
    """The message itself. Once it is begun, silence says nothing."""
    code, said = smtp.docmd("DATA")
    if code != 354:
        return code, said
    try:
        # Lines end in CR LF (the policy's); a dot at the beginning of one is doubled.
        ended = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
        smtp.send(_LINE_DOT.sub(b"..", ended) + b".\r\n")
        code, said = smtp.getreply()
    except (smtplib.SMTPException, OSError) as error:
        raise _Unanswered(type(error).__name__) from None
    if code == -1:
        raise _Unanswered("no reply")
    return code, said


def _answer(code: int, said: bytes) -> Outcome:
    """2xx: taken. 4xx: not now. 5xx: never."""
    if code == 250:
        return Done({"delivery": "taken", "said": _words(said)})
    if 500 <= code < 600:
        return Rejected({"code": str(code), "said": _words(said)})
    return NotSent(f"{code} {_words(said)}")


def _words(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())[:200]
