"""A real Chromium, Debian's, driven by Playwright, and a JupyterLab for it; the benchmarks use them too."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, sync_playwright

from tests.world import eventually

# Without them Chromium looks for updates and other hosts, which a test has no business with.
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
NOTEBOOK = "board.ipynb"


def found() -> str | None:
    """Where Chromium is."""
    return os.environ.get("ATTUNE_OPS_TEST_CHROMIUM") or shutil.which("chromium")


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    """The browser; each page gets an empty profile."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield made
        made.close()


@contextmanager
def jupyterlab(
    folder: Path, cells: Sequence[str], environment: Mapping[str, str], theme: str = "Light"
) -> Iterator[str]:
    """A JupyterLab with one notebook of these cells, in its light or dark theme; gives the URL of that notebook."""
    import nbformat  # takes seconds: not in each process that collects the tests

    notebooks, settings = folder / "notebooks", folder / "settings" / "@jupyterlab" / "apputils-extension"
    for made_folder in (notebooks, settings):
        made_folder.mkdir(parents=True)
    for plugin, wanted in {
        "themes": {"theme": f"JupyterLab {theme}"},
        "notification": {"fetchNews": "false", "checkForUpdates": False},  # no question over the page
    }.items():
        (settings / f"{plugin}.jupyterlab-settings").write_text(json.dumps(wanted))
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, notebooks / NOTEBOOK)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.root_dir={notebooks}",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--LabApp.news_url=",
    ]  # fmt: skip
    told = {**environment, "JUPYTER_TOKEN": token, "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    told["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with (folder / "jupyter.log").open("wb") as log:
        server = subprocess.Popen(command, env=told, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            eventually(lambda: _answers(f"http://127.0.0.1:{port}/api?token={token}"), within=90)
            yield f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK}?token={token}"
        finally:
            server.terminate()
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
