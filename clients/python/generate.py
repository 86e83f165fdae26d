"""Writes src/isao_client/rest from openapi.json."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE / "../../openapi.json"
PACKAGE = HERE / "src/isao_client/rest"


def generate(target: Path) -> None:
    """Writes the package to `target`."""
    generator = Path(sys.executable).with_name("openapi-python-client")
    command = [
        *(generator, "generate", "--path", DOCUMENT, "--output-path", target),
        *("--config", HERE / "openapi-python-client.yml", "--meta", "none", "--overwrite", "--fail-on-warning"),
    ]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    (target / "events.py").write_text(events(), encoding="utf-8")


def events() -> str:
    """Returns the module of the union of all events, which the generator leaves without a name."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    mapping = document["components"]["schemas"]["Event"]["discriminator"]["mapping"]
    names = {event_type: reference.rsplit("/", 1)[1] for event_type, reference in mapping.items()}
    return "\n".join(
        [
            '"""The events of all types."""',
            "",
            *(f"from .models.{re.sub('(?<!^)(?=[A-Z])', '_', name).lower()} import {name}" for name in names.values()),
            "",
            "Event = (",
            "    " + "\n    | ".join(names.values()),
            ")",
            "",
            "EVENTS: dict[str, type[Event]] = {",
            *(f'    "{event_type}": {name},' for event_type, name in names.items()),
            "}",
            "",
        ]
    )


if __name__ == "__main__":
    shutil.rmtree(PACKAGE, ignore_errors=True)
    generate(PACKAGE)
