"""Verifying deliveries."""

import json
from collections.abc import Mapping
from typing import Any

import standardwebhooks

from .rest.events import EVENTS, Event


class WebhookVerificationError(Exception):
    """The request is not a delivery of somebody who knows the secret, or is too old. Answer with 400."""


class UnknownEventError(Exception):
    """The delivery is authentic, but this version of the package does not know such an event."""

    payload: Any
    """The parsed body."""

    def __init__(self, payload: Any) -> None:
        event_type = payload.get("event") if isinstance(payload, dict) else None
        super().__init__(f"This version of the package cannot read the event {event_type!r}")
        self.payload = payload


def verify(body: bytes | str, headers: Mapping[str, str], secret: str) -> Event:
    """Returns the event of a delivery once its signature is verified; `event` decides what `data` is.

    `body` must be the bytes of the request as they were received: JSON that was parsed and written again has
    another signature. `secret` is the `whsec_…` of the subscription. A delivery whose timestamp differs by more
    than five minutes from the clock is refused.

    Raises `WebhookVerificationError` if the delivery cannot be trusted, and `UnknownEventError` if it can but
    is none of the events in openapi.json.
    """
    webhook = standardwebhooks.Webhook(secret)
    try:
        webhook.verify(body, dict(headers), json_parse=False)
    # The library lets errors of malformed headers and bodies through.
    except (standardwebhooks.WebhookVerificationError, ValueError) as error:
        raise WebhookVerificationError(f"The delivery is not authentic: {error}") from error
    try:
        payload = json.loads(body)
    except ValueError as error:
        raise WebhookVerificationError("The body is not JSON") from error
    known = EVENTS.get(str(payload.get("event"))) if isinstance(payload, dict) else None
    if known is None:
        raise UnknownEventError(payload)
    try:
        return known.from_dict(payload)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnknownEventError(payload) from error
