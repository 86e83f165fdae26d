"""The server under test, which `clients/with-server.mjs` starts."""

import os

import pytest

from isao_client import Client, connect


@pytest.fixture(scope="session")
def url() -> str:
    return os.environ["ISAO_URL"]


@pytest.fixture(scope="session")
def client(url: str) -> Client:
    """A client whose key has all permissions."""
    return connect(url, os.environ["ISAO_KEY"])


@pytest.fixture(scope="session")
def reader(url: str) -> Client:
    """A client whose key may only read contacts."""
    return connect(url, os.environ["ISAO_READ_KEY"])
