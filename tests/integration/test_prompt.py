"""A password that a person types in a real kernel: asked for unseen, and in no output."""

from __future__ import annotations

import secrets

from jupyter_client.manager import start_new_kernel

CODE = """
from runbooks_lib.redaction import Redactor
from runbooks_lib.secrets import resolve

redactor, typed = Redactor(), {}
for _ in range(2):
    found = resolve("prompt:the password", read_secret=None, redactor=redactor, typed=typed).get_secret_value()
print(len(found), redactor.redact(found))
"""


def test_a_kernel_asks_its_front_end_once_and_shows_nothing_of_the_answer() -> None:
    answer = secrets.token_urlsafe(12)
    questions: list[tuple[str, bool]] = []
    shown: list[str] = []
    manager, client = start_new_kernel(kernel_name="python3")
    try:

        def typed(message: dict) -> None:
            questions.append((message["content"]["prompt"], message["content"]["password"]))
            client.input(answer)

        def told(message: dict) -> None:
            shown.append(str(message["content"]))

        reply = client.execute_interactive(CODE, allow_stdin=True, stdin_hook=typed, output_hook=told, timeout=60)
        assert reply["content"]["status"] == "ok", reply["content"]
        refused = client.execute_interactive(CODE, allow_stdin=False, output_hook=told, timeout=60)
        assert refused["content"]["ename"] == "UsageError"
        assert "Nobody can be asked for the secret prompt:the password here" in refused["content"]["evalue"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert questions == [("the password: ", True)]
    assert f"{len(answer)} «redacted:prompt:the password»" in "".join(shown)
    assert answer not in "".join(shown)
