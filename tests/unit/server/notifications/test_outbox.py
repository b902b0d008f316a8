import email
import json
import smtplib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from projectone.errors import SettingsError, TransportError
from projectone.server.database import METADATA, open_engine
from projectone.server.notifications.outbox import NOTIFICATIONS, Message, NotificationOutbox
from projectone.server.notifications.senders import EmailSender, LogSender, SlackSender, open_senders

MESSAGE = Message(key="run1-quarantined", subject="In quarantine", body="worse\nthan before")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    METADATA.create_all(engine, tables=[NOTIFICATIONS])
    yield engine
    engine.dispose()


@pytest.fixture
def outbox(engine: Engine) -> NotificationOutbox:
    return NotificationOutbox(engine)


def test_a_key_is_said_once_on_each_channel(outbox: NotificationOutbox) -> None:
    outbox.add(MESSAGE, ["slack", "email"])
    outbox.add(Message(key=MESSAGE.key, subject="again", body="again"), ["slack", "email"])
    said: list[tuple[str, Message]] = []
    senders = {name: lambda message, name=name: said.append((name, message)) for name in ("slack", "email")}
    assert outbox.flush(senders) == 2
    assert outbox.flush(senders) == 0
    assert sorted(said, key=lambda item: item[0]) == [("email", MESSAGE), ("slack", MESSAGE)]


def test_a_channel_that_is_down_keeps_its_messages_and_holds_up_no_other(outbox: NotificationOutbox) -> None:
    def down(message: Message) -> None:
        raise TransportError("Slack: expected status 200, got 503")

    said: list[str] = []
    for number in range(100):
        outbox.add(Message(key=f"k{number}", subject="s", body="b"), ["slack", "log"])
    assert outbox.flush({"slack": down, "log": lambda message: said.append(message.key)}) == 100
    assert len(outbox.waiting()) == 100
    later: list[str] = []
    assert outbox.flush({"slack": lambda message: later.append(message.key)}) == 100
    assert sorted(later) == sorted(said)


def test_a_crash_between_sending_and_its_row_sends_again_with_the_same_key(outbox: NotificationOutbox) -> None:
    said: list[str] = []

    def send_and_die(message: Message) -> None:
        said.append(message.key)
        raise KeyboardInterrupt

    outbox.add(MESSAGE, ["log"])
    with pytest.raises(KeyboardInterrupt):
        outbox.flush({"log": send_and_die})
    outbox.flush({"log": lambda message: said.append(message.key)})
    assert said == [MESSAGE.key, MESSAGE.key]


class Webhook(BaseHTTPRequestHandler):
    status = 200
    bodies: list[Any] = []

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def webhook() -> Iterator[str]:
    Webhook.status, Webhook.bodies = 200, []
    with HTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/services/secret"
        server.shutdown()
        thread.join()


def test_slack_gets_subject_body_and_key(webhook: str) -> None:
    SlackSender(webhook)(MESSAGE)
    (body,) = Webhook.bodies
    assert body == {"text": "*In quarantine*\nworse\nthan before\n_run1-quarantined_"}


@pytest.mark.parametrize("status", [302, 403, 500])
def test_slack_s_refusal_is_an_error_that_does_not_show_the_url(webhook: str, status: int) -> None:
    Webhook.status = status
    with pytest.raises(TransportError, match=str(status)) as caught:
        SlackSender(webhook)(MESSAGE)
    assert "secret" not in str(caught.value)
    assert len(Webhook.bodies) == 1


def test_a_slack_out_of_reach_is_an_error_that_does_not_show_the_url() -> None:
    with pytest.raises(TransportError) as caught:
        SlackSender("http://127.0.0.1:1/services/secret")(MESSAGE)
    assert "secret" not in str(caught.value)


def test_mail_carries_the_key_and_logs_in_only_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[Any] = []

    class Server:
        def __init__(self, host: str, port: int, **options: Any) -> None:
            steps.append(("connect", host, port))

        def starttls(self, **options: Any) -> None:
            steps.append(("starttls",))

        def login(self, user: str, password: str) -> None:
            steps.append(("login", user, password))

        def send_message(self, mail: email.message.EmailMessage) -> None:
            steps.append(("send", mail["To"], mail["Message-ID"], mail.get_content()))

        def __enter__(self) -> "Server":
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing to close."""

    monkeypatch.setattr(smtplib, "SMTP", Server)
    EmailSender("smtp://bot%40example.org:p%3Aw@mail.example.org", "ops@example.org")(MESSAGE)
    assert [step[0] for step in steps] == ["connect", "starttls", "login", "send"]
    assert steps[0] == ("connect", "mail.example.org", 587)
    assert steps[2] == ("login", "bot@example.org", "p:w")
    assert steps[3][1:3] == ("ops@example.org", "<run1-quarantined@projectone>")
    assert "worse\nthan before" in steps[3][3]


def test_a_mail_server_out_of_reach_is_tried_again_later() -> None:
    with pytest.raises(TransportError, match="mail server"):
        EmailSender("smtp://127.0.0.1:1", "ops@example.org")(MESSAGE)


def test_without_a_channel_the_log_is_told(tmp_path: Path) -> None:
    stream = StringIO()
    log = tmp_path / "logs" / "notifications.log"
    senders = open_senders(slack_webhook_url=None, smtp_url=None, email_to=None, log_path=log, stream=stream)
    assert list(senders) == ["log"]
    senders["log"](MESSAGE)
    assert log.read_text() == "[run1-quarantined] In quarantine: worse than before\n"
    assert "In quarantine" in stream.getvalue()
    assert isinstance(senders["log"], LogSender)


def test_half_a_mail_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both"):
        open_senders(
            slack_webhook_url=None, smtp_url="smtp://h", email_to=None, log_path=tmp_path / "l", stream=StringIO()
        )
    with pytest.raises(SettingsError, match="smtp"):
        EmailSender("http://mail.example.org", "ops@example.org")
