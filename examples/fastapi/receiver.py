"""Receives events of isao with FastAPI: verifies them, handles each one once, in SQLite, and answers
2xx only when it is on disk. Run with: pip install -r requirements.txt && SECRET=whsec_… python receiver.py"""

import contextlib
import os
import sqlite3

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["SECRET"])
STORE = os.environ.get("STORE", "events.db")


def database():
    """A connection that is closed in the end."""
    return contextlib.closing(sqlite3.connect(STORE, timeout=20))


@contextlib.asynccontextmanager
async def tables(_app):
    with database() as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, type TEXT, body TEXT)")
        db.execute("CREATE TABLE IF NOT EXISTS totals (type TEXT PRIMARY KEY, events INTEGER)")
    yield


app = FastAPI(lifespan=tables)


def handle(db, event):
    """What is to be done about an event. Here it counts. It is one transaction with storing the
    event: both are done, or neither."""
    db.execute(
        "INSERT INTO totals VALUES (?, 1) ON CONFLICT (type) DO UPDATE SET events = events + 1",
        [event["event"]],
    )


def keep(event, body):
    """Stores and handles an event, unless that was done before. Whether it was new."""
    with database() as db, db:
        row = [event["metadata"]["eventId"], event["event"], body.decode()]
        is_new = db.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?)", row).rowcount == 1
        if is_new:
            handle(db, event)
    return is_new


@app.post("/webhook/isao")
async def receive(request: Request):
    body = await request.body()  # the bytes, which were signed; a model would have parsed them
    try:
        event = webhook.verify(body, dict(request.headers))
    except (WebhookVerificationError, ValueError) as error:
        raise HTTPException(400, str(error)) from error
    if "X-ISAO-Test" in request.headers:  # signed, too, but about an invented record
        return {"received": True}
    # What raises is rolled back and answered with 500, so isao sends it again.
    is_new = await run_in_threadpool(keep, event, body)
    print("stored" if is_new else "again", event["event"], event["metadata"]["eventId"], flush=True)
    return {"received": True, "duplicate": not is_new}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "3000")), log_level="warning")
