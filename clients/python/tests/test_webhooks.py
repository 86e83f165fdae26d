"""Deliveries of a running server to a receiver on loopback."""

import base64
import json
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, assert_type

import pytest
import standardwebhooks

from isao_client import Client, Event, UnknownEventError, WebhookVerificationError, unwrap, verify
from isao_client.rest.api.deals import create_deal, update_deal_status
from isao_client.rest.api.events import list_events
from isao_client.rest.api.webhooks import subscribe
from isao_client.rest.models import (
    Contact,
    ContactCreatedEvent,
    Deal,
    DealInput,
    DealWonEvent,
    StageChange,
    StatusInput,
    SubscribeInput,
    SubscribeInputFiltersType0,
)

DELIVERY_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Delivery:
    """What was received, as it was received."""

    body: bytes
    headers: dict[str, str]
    secret: str = ""
    deal: str = ""


def receive(received: "queue.Queue[Delivery]") -> ThreadingHTTPServer:
    """Returns an HTTP server that keeps what is delivered to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            received.put(Delivery(body, dict(self.headers.items())))

        def log_message(self, format: str, *args: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module")
def delivery(client: Client) -> Iterator[Delivery]:
    received: queue.Queue[Delivery] = queue.Queue()
    with receive(received) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        filters = SubscribeInputFiltersType0.from_dict({"currency": ["CHF"]})
        target = f"http://127.0.0.1:{server.server_port}/hook"
        body = SubscribeInput(events=["deal.won"], target_url=target, filters=filters)
        subscription = unwrap(subscribe.sync(client=client, body=body)).data
        deal = unwrap(create_deal.sync(client=client, body=DealInput(title="Licence", value=25000.5, currency="CHF")))
        unwrap(update_deal_status.sync(deal.data.id, client=client, body=StatusInput(status="won")))
        first = received.get(timeout=DELIVERY_TIMEOUT_SECONDS)
        yield replace(first, secret=subscription.secret, deal=deal.data.id)
        server.shutdown()


def test_a_delivery_is_verified_and_its_type_decides_what_its_data_is(delivery: Delivery) -> None:
    event = verify(delivery.body, delivery.headers, delivery.secret)
    assert event.event == "deal.won"
    assert_type(event, DealWonEvent)
    assert_type(event.data, Deal)
    assert (event.data.id, event.data.value, event.data.status) == (delivery.deal, 25000.5, "won")
    assert event.metadata.event_id == delivery.headers["webhook-id"]
    assert verify(delivery.body.decode(), delivery.headers, delivery.secret) == event


def without(header: str) -> Callable[[Delivery], Delivery]:
    return lambda delivery: replace(
        delivery, headers={name: value for name, value in delivery.headers.items() if name.lower() != header}
    )


def with_header(header: str, value: str) -> Callable[[Delivery], Delivery]:
    return lambda delivery: replace(delivery, headers=without(header)(delivery).headers | {header: value})


@pytest.mark.parametrize(
    "change",
    [
        lambda delivery: replace(delivery, body=delivery.body.replace(b"25000.5", b"1")),
        lambda delivery: replace(delivery, body=b"\xff"),
        lambda delivery: replace(delivery, secret="whsec_" + base64.b64encode(bytes(24)).decode()),
        with_header("webhook-signature", "v1," + base64.b64encode(bytes(32)).decode()),
        with_header("webhook-signature", "v1"),
        with_header("webhook-signature", "v1,a"),
        with_header("webhook-id", "event_0"),
        with_header("webhook-timestamp", "now"),
        without("webhook-signature"),
    ],
)
def test_a_delivery_that_is_not_authentic_is_refused(
    delivery: Delivery, change: Callable[[Delivery], Delivery]
) -> None:
    changed = change(delivery)
    with pytest.raises(WebhookVerificationError):
        verify(changed.body, changed.headers, changed.secret)


def signed(body: bytes, secret: str, age: timedelta = timedelta()) -> dict[str, str]:
    """Returns the headers of a delivery that was signed so long ago."""
    at = datetime.now(tz=UTC) - age
    signature = standardwebhooks.Webhook(secret).sign("event_1", at, body.decode())
    return {
        "webhook-id": "event_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


@pytest.mark.parametrize("seconds", [-302, 301])
def test_a_right_signature_of_another_time_is_refused(delivery: Delivery, seconds: int) -> None:
    headers = signed(delivery.body, delivery.secret, timedelta(seconds=seconds))
    with pytest.raises(WebhookVerificationError):
        verify(delivery.body, headers, delivery.secret)


def test_a_right_signature_is_taken_within_five_minutes(delivery: Delivery) -> None:
    headers = signed(delivery.body, delivery.secret, timedelta(seconds=290))
    assert verify(delivery.body, headers, delivery.secret).event == "deal.won"


def test_a_body_that_is_not_json_is_refused(delivery: Delivery) -> None:
    with pytest.raises(WebhookVerificationError):
        verify(b"{", signed(b"{", delivery.secret), delivery.secret)


def test_an_event_of_a_later_version_is_told_from_a_forgery(delivery: Delivery) -> None:
    changed = json.loads(delivery.body)
    changed["data"]["status"] = "postponed"
    payloads: list[Any] = [[], {}, {"event": 1}, {"event": "deal.postponed"}, changed]
    for payload in payloads:
        body = json.dumps(payload).encode()
        with pytest.raises(UnknownEventError) as unknown:
            verify(body, signed(body, delivery.secret), delivery.secret)
        assert unknown.value.payload == payload


def name(event: Event) -> str:
    """Returns what the record of an event is called; type checkers know the record of each."""
    if event.event == "contact.created":
        assert_type(event, ContactCreatedEvent)
    if event.event == "contact.created" or event.event == "contact.updated" or event.event == "contact.deleted":
        assert_type(event.data, Contact)
        return event.data.name
    if event.event == "deal.stage_changed":
        assert_type(event.data, StageChange)
        return f"{event.data.previous_stage} → {event.data.stage}"
    assert_type(event.data, Deal)
    return event.data.title


def test_each_type_of_event_has_its_record(client: Client, delivery: Delivery) -> None:
    events = unwrap(list_events.sync(client=client, limit=10)).data
    assert events
    assert all(name(event) for event in events)
