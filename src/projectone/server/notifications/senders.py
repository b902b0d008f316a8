"""Ways to tell a human: Slack, e-mail, or the log where neither is configured.

Hosts come from settings alone, redirects are not followed, and every message carries its key, because a reader may
get it twice.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote, urlsplit

import httpx2

from projectone.errors import SettingsError, TransportError
from projectone.server.notifications.outbox import Message

Send = Callable[[Message], None]
_TIMEOUT_S = 10.0
_PORTS = {"smtp": 587, "smtps": 465}


class SlackSender:
    """Posts to an incoming webhook."""

    def __init__(self, webhook_url: str) -> None:
        self._url = webhook_url

    def __call__(self, message: Message) -> None:
        """Send one message.

        Raises:
            TransportError: if Slack did not take it. The URL is a secret, so it is not in the error.
        """
        text = f"*{message.subject}*\n{message.body}\n_{message.key}_"
        try:
            answer = httpx2.post(self._url, json={"text": text}, timeout=_TIMEOUT_S, follow_redirects=False)
        except httpx2.HTTPError as error:
            raise TransportError(f"Slack: {type(error).__name__}") from error
        if answer.status_code != 200:
            raise TransportError(f"Slack: expected status 200, got {answer.status_code}")


class EmailSender:
    """Sends through a mail server; the password travels only over TLS."""

    def __init__(self, smtp_url: str, to: str) -> None:
        """Read the server's address.

        Args:
            smtp_url: ``smtp[s]://user:password@host:port``; `smtp` switches to TLS before it logs in.
            to: Who gets the messages.

        Raises:
            SettingsError: if the URL is not of that form.
        """
        parts = urlsplit(smtp_url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise SettingsError("mail server: expected smtp[s]://user:password@host:port")
        self._host, self._port = parts.hostname, parts.port or _PORTS[parts.scheme]
        self._is_tls = parts.scheme == "smtps"
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else ""
        self._to = to

    def __call__(self, message: Message) -> None:
        """Send one message.

        Raises:
            TransportError: if the mail server did not take it.
        """
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["To"] = self._to
        mail["From"] = self._user if self._user and "@" in self._user else f"projectone@{self._host}"
        # A repeated message carries the same id, so a mail program may show it once.
        mail["Message-ID"] = f"<{message.key}@projectone>"
        mail.set_content(f"{message.body}\n\n{message.key}\n")
        try:
            with self._connect() as connection:
                connection.send_message(mail)
        except (OSError, smtplib.SMTPException) as error:
            raise TransportError(f"mail server: {type(error).__name__}") from error

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._is_tls:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=_TIMEOUT_S, context=context)
        else:
            connection = smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT_S)
        if self._user is not None:
            if not self._is_tls:
                connection.starttls(context=context)
            connection.login(self._user, self._password)
        return connection


class LogSender:
    """Writes to a file, and to a stream where somebody may be watching."""

    def __init__(self, path: Path, stream: TextIO | None = None) -> None:
        self._path = path
        self._stream = stream

    def __call__(self, message: Message) -> None:
        """Write one message."""
        text = f"[{message.key}] {message.subject}: {' '.join(message.body.split())}\n"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as log:
            log.write(text)
        if self._stream is not None:
            self._stream.write(f"notification: {text}")
            self._stream.flush()


def open_senders(
    *, slack_webhook_url: str | None, smtp_url: str | None, email_to: str | None, log_path: Path, stream: TextIO
) -> dict[str, Send]:
    """The configured ways by name; the log where there is no other.

    Raises:
        SettingsError: if a mail server is named without a reader, or the other way round.
    """
    if (smtp_url is None) != (email_to is None):
        raise SettingsError("e-mail: expected both the mail server and the reader, or neither")
    senders: dict[str, Send] = {}
    if slack_webhook_url is not None:
        senders["slack"] = SlackSender(slack_webhook_url)
    if smtp_url is not None and email_to is not None:
        senders["email"] = EmailSender(smtp_url, email_to)
    return senders or {"log": LogSender(log_path, stream)}
