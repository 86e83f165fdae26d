"""Keeps a copy of the contacts and deals of isao in SQLite. Needs nothing but Python.

    ISAO_URL=http://127.0.0.1:8080 ISAO_KEY=ck_… python3 mirror.py [FILE]

It takes a cursor at the end of the log, lists all records, and then follows the log from the cursor on.
The cursor is stored in the transaction that stores what the events say, so the mirror may be killed at any
time: it goes on where it was. The key needs contacts:read, deals:read and webhooks:read."""

import json
import os
import sqlite3
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

API = os.environ.get("ISAO_URL", "http://127.0.0.1:8080") + "/api/external"
KEY = os.environ["ISAO_KEY"]
PAGE = 200  # the largest that the server gives
PAUSE = 1  # seconds between two questions for news
TIMEOUT = 30

TABLES = """
CREATE TABLE IF NOT EXISTS contacts (id TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deals (id TEXT PRIMARY KEY, contact_id TEXT, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS deals_by_contact ON deals (contact_id);
CREATE TABLE IF NOT EXISTS place (only INTEGER PRIMARY KEY CHECK (only = 1), cursor TEXT NOT NULL);
"""


class CursorExpired(Exception):
    """The events after the cursor are no longer kept."""


def get(path, **query):
    """The answer to a request. Waits for as long as the server is away."""
    url = f"{API}{path}?{urllib.parse.urlencode(query)}"
    while True:
        wait = 2
        try:
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                # Amounts of money are exact, so they do not become binary fractions.
                return json.load(response, parse_float=str)
        except urllib.error.HTTPError as error:
            if error.code == 410:
                raise CursorExpired from error
            if error.code != 429 and error.code < 500:
                sys.exit(f"{url}: {error.code} {error.read().decode()}")
            wait = int(error.headers.get("Retry-After") or wait)
            print(f"{error.code}; trying again in {wait} s", flush=True)
        except (OSError, ValueError) as error:  # no server, or half an answer
            print(f"{error}; trying again in {wait} s", flush=True)
        time.sleep(wait)


def put(db, kind, record):
    """Stores a contact or a deal as it is now."""
    if kind == "contact":
        db.execute("INSERT OR REPLACE INTO contacts VALUES (?, ?)", [record["id"], json.dumps(record)])
    else:
        # A change of a contact is no event of its deals. So a deal keeps the id alone.
        contact = record.pop("contact")
        record.pop("previousStage", None)  # of deal.stage_changed, about the change
        row = [record["id"], contact and contact["id"], json.dumps(record)]
        db.execute("INSERT OR REPLACE INTO deals VALUES (?, ?, ?)", row)


def apply(db, event):
    """Does to the copy what happened to the record."""
    kind, happened = event["event"].split(".")
    record = event["data"]
    if happened != "deleted":
        put(db, kind, record)
    elif kind == "contact":
        db.execute("DELETE FROM contacts WHERE id = ?", [record["id"]])
        db.execute("UPDATE deals SET contact_id = NULL WHERE contact_id = ?", [record["id"]])
    else:
        db.execute("DELETE FROM deals WHERE id = ?", [record["id"]])


def copy_all(db):
    """Takes a cursor first and lists then, so what changes meanwhile comes again as an event."""
    cursor = get("/events", after="now")["meta"]["nextCursor"]
    with db:  # one transaction: a copy that is killed begins again, and no half of one is ever seen
        db.execute("DELETE FROM contacts")
        db.execute("DELETE FROM deals")
        for kind in ("contact", "deal"):
            page = {"limit": PAGE, "total": "false"}
            while True:
                answer = get(f"/{kind}s", **page)
                for record in answer["data"]:
                    put(db, kind, record)
                page["cursor"] = answer["meta"].get("nextCursor")
                if not page["cursor"]:
                    break
        db.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", [cursor])
    print("copied all records", flush=True)
    return cursor


def follow(db, cursor):
    """Applies the events after the cursor, page by page, for ever."""
    while True:
        answer = get("/events", after=cursor, limit=PAGE)
        cursor = answer["meta"]["nextCursor"]
        with db:
            for event in answer["data"]:
                apply(db, event)
            db.execute("UPDATE place SET cursor = ?", [cursor])
        if answer["data"]:
            print(f"applied {len(answer['data'])} events", flush=True)
        if not answer["meta"]["hasMore"]:
            time.sleep(PAUSE)


def main():
    db = sqlite3.connect(sys.argv[1] if len(sys.argv) > 1 else "mirror.db", timeout=20)
    db.execute("PRAGMA journal_mode = WAL")  # others may read while this writes
    db.executescript(TABLES)
    place = db.execute("SELECT cursor FROM place").fetchone()
    while True:
        try:
            follow(db, place[0] if place else copy_all(db))
        except CursorExpired:
            print("away for longer than events are kept: copying all records again", flush=True)
            place = None


if __name__ == "__main__":
    main()
