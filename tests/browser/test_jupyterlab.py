"""A person in JupyterLab: Run All stops at Act, the button approves, Act installs; the record is the pipeline's."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from runbooks_lib import headless, parameters, process, records
from runbooks_lib.results import Json

pytestmark = pytest.mark.xdist_group("stages")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""

#: Chromium's own housekeeping would look for hosts that are not there.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: Told as often as there is something to tell.
PASSING = {"change.progress"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """JupyterLab on a free port, on a folder of its own; gives its address and the folder."""
    folder = tmp_path / "lab"
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path / "home"
    home.mkdir()
    argv = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    argv += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=test"]
    argv += [f"--ServerApp.root_dir={folder}"]
    env = {**os.environ, "HOME": str(home), "RUNBOOKS_HOME": str(parameters.project_root())}
    server = process.start(argv, log=tmp_path / "lab.log", env=env, cwd=folder)
    try:
        for _ in range(150):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert server.alive, (tmp_path / "lab.log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/lab/tree/02_install.ipynb?token=test", folder
    finally:
        process.stop(server)


@pytest.fixture
def page() -> Iterator[Page]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser.new_page(viewport={"width": 1400, "height": 1800})
        browser.close()


def with_parameters(notebook: Path, **named: Any) -> str:
    """The notebook as an operator would have edited it: only the parameters cell."""
    content = json.loads(notebook.read_text())
    (cell,) = [cell for cell in content["cells"] if "parameters" in cell["metadata"].get("tags", ())]
    cell["source"] = "\n".join(f"{name} = {value!r}" for name, value in named.items())
    return json.dumps(content)


def menu(page: Page, *words: str) -> None:
    for word in words:
        page.get_by_role("menuitem", name=word, exact=len(words) == 1 or word != words[-1]).first.click()


def story(folder: Path, namespace: str) -> list[tuple[str, Json]]:
    """What happened, without the front end's own events, times and names of this run."""
    kept = []
    for event in records.read_events(folder):
        kind, data = event["kind"], event["data"]
        told = kind.startswith(("plan.", "change.", "report.", "check.", "run.ended"))
        if told and kind not in PASSING:
            same = ("id", "status", "kind", "title", "verdict", "outcome")
            text = json.dumps({key: data[key] for key in same if key in data})
            kept.append((kind, json.loads(text.replace(namespace, "NAMESPACE"))))
    return kept


def uninstall(file: str, overrides: Json, folder: Path) -> None:
    plan = headless.preview("uninstall", file, overrides=overrides)
    done = headless.run_stage("uninstall", file, overrides=overrides, approve=plan.digest, output_directory=str(folder))
    assert done.outcome == "done"


def test_a_person_approves_by_button_and_leaves_the_record_of_a_pipeline(
    sandbox: Any, target: dict[str, str], lab: tuple[str, Path], page: Page, tmp_path: Path
) -> None:
    address, folder = lab
    named = {"parameters_file": sandbox.parameters_file, "overrides": target, "approve": ""}
    source = parameters.project_root() / "notebooks/02_install.ipynb"
    by_hand = with_parameters(source, **named, output_directory=str(tmp_path / "hand"))
    (folder / "02_install.ipynb").write_text(by_hand)

    page.goto(address)
    page.get_by_text("(ipykernel) | Idle").wait_for(timeout=90_000)
    menu(page, "Run", "Run All Cells")
    page.get_by_text("ApprovalError: exit code 4").wait_for(timeout=90_000)
    (waiting,) = records.listing(tmp_path / "hand")
    assert waiting.outcome == "open"
    assert "change.started" not in [event["kind"] for event in records.read_events(Path(waiting.folder))]

    page.get_by_role("button", name="Approve sha256").click()
    page.locator(".widget-html-content", has_text="Approved: sha256").wait_for(timeout=15_000)
    page.locator(".jp-CodeCell", has_text="install.apply").click()
    menu(page, "Run", "Run Selected Cell and All Below")
    page.get_by_text("done, exit code 0").wait_for(timeout=120_000)
    (hand,) = records.listing(tmp_path / "hand")
    assert (hand.outcome, hand.exit_code) == ("done", 0)
    assert records.verify(Path(hand.folder)) == []
    proved = records.verify_all(tmp_path / "hand", records.Given())
    assert (proved.problems, len(proved.proved)) == ((), 2)

    uninstall(sandbox.parameters_file, target, tmp_path / "between")
    namespace = target["target.namespace"]
    fresh = {**target, "target.namespace": f"{namespace}-2"}
    plan = headless.preview("install", sandbox.parameters_file, overrides=fresh)
    piped = headless.run_stage(
        "install",
        sandbox.parameters_file,
        overrides=fresh,
        approve=plan.digest,
        output_directory=str(tmp_path / "pipe"),
    )
    uninstall(sandbox.parameters_file, fresh, tmp_path / "between")
    assert piped.outcome == "done"
    hand_folder, pipe_folder = Path(hand.folder), Path(piped.folder)
    assert {file.name for file in hand_folder.iterdir()} == {file.name for file in pipe_folder.iterdir()}
    assert story(hand_folder, namespace) == story(pipe_folder, fresh["target.namespace"])
