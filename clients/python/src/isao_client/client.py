"""Connecting to a server."""

from .rest.client import AuthenticatedClient

BASE = "/api/external"
"""Where the API is on a server, as in `servers` of openapi.json."""


def connect(url: str, key: str) -> AuthenticatedClient:
    """Returns a client of the server at `url` that sends `key` with every request."""
    return AuthenticatedClient(base_url=url.rstrip("/") + BASE, token=key, raise_on_unexpected_status=True)
