"""The API by the typed client, against a running server."""

import random
from typing import assert_type

import httpx
import pytest

from isao_client import ApiError, Client, connect, unwrap
from isao_client.rest.api.api_key import test_key as check_key
from isao_client.rest.api.contacts import (
    create_contact,
    create_contacts,
    delete_contact,
    get_contact,
    list_contacts,
    patch_contact,
    update_contact,
    upsert_contact,
)
from isao_client.rest.errors import UnexpectedStatus
from isao_client.rest.models import AnsweredContact, Contact, ContactBatch, ContactInput, Error, UpsertInput
from isao_client.rest.types import UNSET, Unset


def phone_number() -> str:
    return f"+33{random.randint(10**8, 10**9 - 1)}"


def create(client: Client, name: str) -> Contact:
    body = ContactInput(name=name, phone_number=phone_number())
    return unwrap(create_contact.sync(client=client, body=body)).data


def test_a_key_is_tested(client: Client) -> None:
    answer = unwrap(check_key.sync(client=client))
    assert_type(answer.data.permissions, list[str])
    assert "contacts:write" in answer.data.permissions
    assert answer.data.company_id.startswith("company_")


def test_an_unknown_key_is_a_typed_error(url: str) -> None:
    answer = check_key.sync(client=connect(url, "ck_" + "0" * 64))
    assert isinstance(answer, Error)
    assert answer.code == "INVALID_API_KEY"
    with pytest.raises(ApiError, match="Invalid API key"):
        unwrap(answer)


def test_a_key_without_a_permission_is_told_which(reader: Client) -> None:
    with pytest.raises(ApiError) as refusal:
        create(reader, "Nobody")
    assert refusal.value.code == "PERMISSION_DENIED"
    assert refusal.value.error.required_permission == "contacts:write"
    assert refusal.value.error.available_permissions == ["contacts:read"]


def test_contacts_are_created_read_changed_and_deleted(client: Client) -> None:
    contact = create(client, "Ada Lovelace")
    assert contact.first_name == "Ada"

    answer = patch_contact.sync(contact.id, client=client, body=ContactInput(city="London"))
    assert_type(answer, AnsweredContact | Error | None)
    changed = unwrap(answer).data
    assert_type(changed, Contact)
    assert changed.city == "London"
    assert unwrap(get_contact.sync(contact.id, client=client)) == AnsweredContact(success=True, data=changed)

    unwrap(delete_contact.sync(contact.id, client=client))
    with pytest.raises(ApiError) as refusal:
        unwrap(get_contact.sync(contact.id, client=client))
    assert refusal.value.code == "NOT_FOUND"


def test_contacts_are_listed_page_by_page(client: Client) -> None:
    name = f"Page {random.randint(0, 10**9)}"
    created = [create(client, name).id for _ in range(5)]

    ids: list[str] = []
    cursor: str | Unset = UNSET
    while True:
        page = unwrap(list_contacts.sync(client=client, search=name, limit=2, sort="createdAt", cursor=cursor))
        assert len(page.data) <= 2
        ids.extend(contact.id for contact in page.data)
        if not page.meta.next_cursor:
            break
        cursor = page.meta.next_cursor
    assert ids == created


def test_contacts_are_created_or_changed_by_upsert(client: Client) -> None:
    body = UpsertInput(name="Up Sert", phone_number=phone_number(), city="Paris", match_by=["phoneNumber"])
    first = unwrap(upsert_contact.sync(client=client, body=body))
    body.city = "Lyon"
    second = unwrap(upsert_contact.sync(client=client, body=body))
    assert (first.created, second.created) == (True, False)
    assert (second.data.id, second.data.city) == (first.data.id, "Lyon")


def test_contacts_of_a_batch_succeed_or_fail_by_themselves(client: Client) -> None:
    good, bad = ContactInput(name="Good", phone_number=phone_number()), ContactInput(name="Bad", phone_number="none")
    answer = unwrap(create_contacts.sync(client=client, body=ContactBatch(records=[good, bad])))
    assert (answer.meta.succeeded, answer.meta.failed) == (1, 1)
    created, refused = answer.data
    assert (created.status, refused.status) == (201, 422)
    assert created.data and created.data.name == "Good"
    assert refused.error and refused.error.code == "VALIDATION_ERROR"


def test_contacts_are_not_changed_if_somebody_else_changed_them_meanwhile(client: Client) -> None:
    contact = create(client, "Con Current")
    etag = get_contact.sync_detailed(contact.id, client=client).headers["etag"]

    unwrap(update_contact.sync(contact.id, client=client, body=ContactInput(city="Rome"), if_match=etag))
    refused = update_contact.sync_detailed(contact.id, client=client, body=ContactInput(city="Oslo"), if_match=etag)
    assert refused.status_code == 412
    with pytest.raises(ApiError) as refusal:
        unwrap(refused.parsed)
    assert refusal.value.code == "PRECONDITION_FAILED"
    assert refusal.value.error.details["etag"].startswith('"')
    assert unwrap(get_contact.sync(contact.id, client=client)).data.city == "Rome"


def test_wrong_fields_are_refused_each_with_its_reason(client: Client) -> None:
    answer = create_contact.sync(client=client, body=ContactInput(name="", phone_number="none"))
    assert isinstance(answer, Error)
    assert answer.code == "VALIDATION_ERROR"
    assert answer.details["fields"]


def test_an_answer_that_is_not_one_of_isao_raises() -> None:
    gateway = httpx.MockTransport(lambda _: httpx.Response(502, text="<h1>Bad gateway</h1>"))
    client = connect("http://isao.invalid", "ck_0")
    client.set_httpx_client(httpx.Client(base_url="http://isao.invalid", transport=gateway))
    with pytest.raises(UnexpectedStatus) as failure:
        check_key.sync(client=client)
    assert failure.value.status_code == 502
