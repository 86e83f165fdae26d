"""Receives events of isao with Flask: verifies them, handles each one once, in SQLite, and answers
2xx only when it is on disk. Run with: pip install -r requirements.txt && SECRET=whsec_… python receiver.py"""

import contextlib
import os
import sqlite3

from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError

app = Flask(__name__)
webhook = Webhook(os.environ["SECRET"])
STORE = os.environ.get("STORE", "events.db")


def database():
    """A connection that is closed in the end."""
    return contextlib.closing(sqlite3.connect(STORE, timeout=20))


with database() as db:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, type TEXT, body TEXT)")
    db.execute("CREATE TABLE IF NOT EXISTS totals (type TEXT PRIMARY KEY, events INTEGER)")


def handle(db, event):
    """What is to be done about an event. Here it counts. It is one transaction with storing the
    event: both are done, or neither."""
    db.execute(
        "INSERT INTO totals VALUES (?, 1) ON CONFLICT (type) DO UPDATE SET events = events + 1",
        [event["event"]],
    )


@app.post("/webhook/isao")
def receive():
    body = request.get_data()  # the bytes, which were signed
    try:
        event = webhook.verify(body, dict(request.headers))
    except (WebhookVerificationError, ValueError) as error:
        return {"error": str(error)}, 400
    if "X-ISAO-Test" in request.headers:  # signed, too, but about an invented record
        return {"received": True}

    # Also the header webhook-id. It is the same at every repetition.
    event_id = event["metadata"]["eventId"]
    # What raises is rolled back and answered with 500, so isao sends it again.
    with database() as db, db:
        row = [event_id, event["event"], body.decode()]
        is_new = db.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?)", row).rowcount == 1
        if is_new:
            handle(db, event)
    print("stored" if is_new else "again", event["event"], event_id, flush=True)
    return {"received": True, "duplicate": not is_new}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "3000")))
