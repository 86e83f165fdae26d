"""Typed client of the isao API, and verification of its webhooks.

The operations are functions in `isao_client.rest.api`, one module each; what they send and answer is in
`isao_client.rest.models`. Both are made from openapi.json.
"""

from .answer import ApiError, unwrap
from .client import connect
from .rest.client import AuthenticatedClient as Client
from .rest.events import Event
from .webhooks import UnknownEventError, WebhookVerificationError, verify

__all__ = [
    "ApiError",
    "Client",
    "Event",
    "UnknownEventError",
    "WebhookVerificationError",
    "connect",
    "unwrap",
    "verify",
]
