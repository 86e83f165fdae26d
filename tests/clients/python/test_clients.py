"""The page's curl examples, the Flask receivers of the page and of the README, and the Python
library of Standard Webhooks, against the server at ISAO_URL with the key ISAO_KEY."""

import base64
import contextlib
import http.server
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

from standardwebhooks import Webhook, WebhookVerificationError

BASE = os.environ["ISAO_URL"] + "/api/external"
KEY = os.environ["ISAO_KEY"]
PAGE = pathlib.Path(__file__).parent.parent / "page"

# For whatever has to happen in the end: generous, since machines are busy.
PATIENCE = 30

# Loopback is reached directly, whatever proxy the environment names.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def api(method, path, body=None):
    """A request with the key: the status and the parsed body."""
    request = urllib.request.Request(
        BASE + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    try:
        with opener.open(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def data(method, path, body=None):
    """Like `api`, for when it must succeed; only the data."""
    status, answer = api(method, path, body)
    assert status < 300, f"{method} {path}: {status} {answer}"
    return answer["data"]


def phone():
    """A phone number that no other test has."""
    return f"+33{random.randrange(10**9, 10**10)}"


def eventually(what, check):
    """Waits until `check` answers something."""
    deadline = time.monotonic() + PATIENCE
    while True:
        if found := check():
            return found
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE} s"
        time.sleep(0.02)


def free_port():
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def listening(port):
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def subscription(event, target_url):
    made = data("POST", "/webhooks/subscribe", {"event": event, "target_url": target_url})
    try:
        yield made
    finally:
        api("DELETE", f"/webhooks/{made['id']}")


@contextlib.contextmanager
def receiver():
    """A receiver on loopback: its address, and what arrived as (path, headers, body)."""
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()


class Curl(unittest.TestCase):
    """The examples, run by a shell with the server and the key under test in place of the page's.

    The addresses in them belong to others, so nothing fires an event while they are subscribed."""

    def curl(self, name, **replaced):
        command = (PAGE / "curl" / f"{name}.sh").read_text()
        command = command.replace("https://staging.isao.io/api/external", BASE).replace("YOUR_API_KEY", KEY)
        for old, new in replaced.items():
            self.assertIn(old, command)
            command = command.replace(old, new)
        # Only what curl prints changes: no progress meter, and the status after the body.
        command = command.replace("curl ", "curl -sS -w '\\n%{http_code}' ", 1)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body) if body else None

    def unsubscribe(self, made):
        status, answer = self.curl("unsubscribe", sub_abc123=made["subscription_id"])
        self.assertEqual((status, answer), (200, {"success": True, "message": "Webhook unsubscribed successfully"}))

    def test_subscribe_list_unsubscribe(self):
        status, answer = self.curl("subscribe")
        self.assertEqual(status, 201)
        self.assertIs(answer["success"], True)
        made = answer["data"]
        target = "https://hooks.zapier.com/hooks/catch/12345/abcdef"
        self.assertEqual((made["event"], made["target_url"]), ("contact.created", target))
        self.assertEqual(set(made["filters"]["tags"]), {"lead", "enterprise"})
        self.assertTrue(made["id"].startswith("hook_"))
        self.assertTrue(made["subscription_id"].startswith("sub_"))
        self.assertRegex(made["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

        status, listed = self.curl("list")
        self.assertEqual((status, listed["success"]), (200, True))
        [found] = [one for one in listed["data"] if one["id"] == made["id"]]
        self.assertEqual(found["event_type"], "contact.created")
        self.assertIs(found["is_active"], True)
        for field in ("subscription_id", "target_url", "created_at"):
            self.assertEqual(found[field], made[field])
        self.assertNotIn("secret", found)

        self.unsubscribe(made)
        _, listed = self.curl("list")
        self.assertNotIn(made["id"], [one["id"] for one in listed["data"]])

    def test_subscribe_for_make_and_ngrok(self):
        for name in ("subscribe_make", "subscribe_ngrok"):
            with self.subTest(name):
                status, answer = self.curl(name)
                self.assertEqual(status, 201)
                self.unsubscribe(answer["data"])

    def test_unsubscribe_with_the_id_of_the_page(self):
        status, answer = self.curl("unsubscribe")
        self.assertEqual((status, answer["success"], answer["code"]), (404, False, "NOT_FOUND"))

    def test_sample(self):
        status, sample = self.curl("sample")
        self.assertEqual(status, 200)
        self.assertEqual(sample, json.loads((PAGE / "sample.json").read_text()))

    def test_recent(self):
        contacts = [data("POST", "/contacts", {"name": "Jane Smith", "phoneNumber": phone()}) for _ in range(11)]
        newest_first = contacts[::-1]
        self.assertEqual(self.curl("recent"), (200, newest_first[:10]))
        self.assertEqual(self.curl("recent_one"), (200, newest_first[:1]))

    def test_try_the_endpoint_by_hand(self):
        with receiver() as (url, received):
            status, _ = self.curl("test_endpoint", **{"https://your-webhook-url.com": url})
            self.assertEqual(status, 200)
            [(path, _, body)] = received
            self.assertEqual((path, json.loads(body)), ("/webhook", {"event": "test", "data": {"test": True}}))


class Flask(unittest.TestCase):
    """The receivers, each as a program of its own."""

    @contextlib.contextmanager
    def flask(self, source, port, **environment):
        """Runs a program that listens on port 3000, on another one; gives the file it prints to."""
        with tempfile.TemporaryDirectory() as directory:
            program = pathlib.Path(directory, "receiver.py")
            program.write_text(source.replace("3000", str(port)))
            printed = pathlib.Path(directory, "printed")
            with printed.open("w") as output:
                # A session of its own: its debug mode runs it in a second process.
                process = subprocess.Popen(
                    [sys.executable, "-u", program],
                    env={**os.environ, **environment},
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            try:
                eventually("the start of Flask", lambda: listening(port))
                yield printed
            finally:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()

    def test_of_the_page(self):
        port = free_port()
        url = f"http://127.0.0.1:{port}/webhook/isao"
        source = (PAGE / "receivers/flask_receiver.py").read_text()
        with self.flask(source, port) as printed, contextlib.ExitStack() as subscriptions:
            for event in ("contact.created", "deal.won", "deal.lost"):
                subscriptions.enter_context(subscription(event, url))
            name = f"Grace Hopper {phone()}"
            data("POST", "/contacts", {"name": name, "phoneNumber": phone()})
            data("POST", "/deals", {"title": "Compiler licences", "value": 25000.5, "status": "won"})
            data("POST", "/deals", {"title": "Abacus", "status": "lost"})
            for line in (
                "Received event: contact.created",
                f"New contact: {name}",
                "Deal won: Compiler licences - 25000.5",
                "Unknown event type: deal.lost",
                '"POST /webhook/isao HTTP/1.1" 200',
            ):
                eventually(f"the line {line!r}", lambda: line in printed.read_text())
            self.assertEqual(printed.read_text().count(f"New contact: {name}"), 1)

    def test_of_the_readme(self):
        readme = pathlib.Path(__file__).parents[3].joinpath("README.md").read_text()
        source = re.search(r"```python\n(# receiver\.py.*?)```", readme, re.DOTALL)[1]
        port = free_port()
        url = f"http://127.0.0.1:{port}/webhook/isao"
        with subscription("contact.created", url) as made, self.flask(source, port, SECRET=made["secret"]) as printed:
            name = f"Hedy Lamarr {phone()}"
            data("POST", "/contacts", {"name": name, "phoneNumber": phone()})
            eventually("its line", lambda: f"contact.created {name}" in printed.read_text())
            with self.assertRaises(urllib.error.HTTPError) as forged:
                opener.open(url, data=b"{}")
            forged.exception.close()
            self.assertEqual(forged.exception.code, 500)


class Signatures(unittest.TestCase):
    """Checked by the library that Standard Webhooks publishes."""

    def test_deliveries_are_signed(self):
        with receiver() as (url, received), subscription("contact.created", url) as made:
            contact = data("POST", "/contacts", {"name": "Zoë Łukasiewicz 志", "phoneNumber": phone()})
            [(_, headers, body)] = eventually("the delivery", lambda: received)
            headers = {name.lower(): value for name, value in headers.items()}

            event = Webhook(made["secret"]).verify(body, headers)
            self.assertEqual(event["data"], contact)
            self.assertEqual(headers["webhook-id"], event["metadata"]["eventId"])

            wrong = Webhook("whsec_" + base64.b64encode(bytes(32)).decode())
            with self.assertRaises(WebhookVerificationError):
                wrong.verify(body, headers)
            with self.assertRaises(WebhookVerificationError):
                Webhook(made["secret"]).verify(body.replace(b"contact.created", b"contact.updated"), headers)

    def test_both_secrets_verify_while_they_overlap(self):
        with receiver() as (url, received), subscription("contact.created", url) as made:
            rotated = data("POST", f"/webhooks/{made['id']}/rotate-secret", {})
            contact = data("POST", "/contacts", {"name": "Grace Hopper", "phoneNumber": phone()})
            [(_, headers, body)] = eventually("the delivery", lambda: received)
            headers = {name.lower(): value for name, value in headers.items()}
            for secret in made["secret"], rotated["secret"]:
                self.assertEqual(Webhook(secret).verify(body, headers)["data"], contact)


if __name__ == "__main__":
    unittest.main(verbosity=2)
