"""What MkDocs does besides: files of the repository that pages link to, and the command tree for the reference.

A page links to a file outside of `docs` as it does in the repository (`../CONTRIBUTING.md`). Such a file is part of the
site, in the folder `project`.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")
ROW, CODE = re.compile(r"^\|.*$", re.MULTILINE), re.compile(r"`[^`]+`")
EVERYWHERE = ("timeout", "color", "verbose")  # options that all commands have, besides the target


def on_config(config: Any) -> None:
    """Prepares the commands for mkdocs-click: the options that all have are listed once, and the example is shown."""
    sys.path.insert(0, str(ROOT))
    from attune_ops.cli._base import TARGET_NAMES
    from attune_ops.cli._main import root

    for command in _below(root, click.Context(root)):
        for param in command.params:
            param.hidden = getattr(param, "hidden", False) or param.name in (*TARGET_NAMES, *EVERYWHERE)  # type: ignore[attr-defined]
        if example := getattr(command, "example", ""):
            command.help = f"{command.help}\n\n**Example:**\n\n```sh\n{_dedented(example)}\n```\n"


def _below(group: click.Group, context: click.Context) -> Any:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        command.name = name  # the function of each module is called `command`
        yield command
        if isinstance(command, click.Group):
            yield from _below(command, click.Context(command, parent=context))


def _dedented(example: str) -> str:
    return "\n".join(line.strip() for line in example.splitlines())


def on_files(files: Files, config: Any) -> Files:
    """Adds the files of the repository that pages link to, and those that these link to."""
    worker = Path(__file__).with_name("iframe-worker.js")
    files.append(File.generated(config, "assets/iframe-worker.js", abs_src_path=str(worker)))
    _add_schemas(files, config)
    waiting = [f for f in files if f.src_uri.endswith(".md") and f.inclusion.is_included()]
    while waiting:
        file = waiting.pop()
        for link in LINK.findall(file.content_string):
            path = _outside(link, file.src_uri)
            uri = f"project/{path}"
            if path is None or path.startswith("docs/") or files.get_file_from_path(uri) is not None:
                continue
            source = ROOT / path
            if not source.is_file():
                continue  # the link's own warning names it
            added = File.generated(config, uri, abs_src_path=str(source))
            files.append(added)
            if uri.endswith(".md"):
                waiting.append(added)
    return files


def _add_schemas(files: Files, config: Any) -> None:
    """Adds the JSON Schema of each file and each output, and lists them on their page."""
    from attune_ops.cli import _schemas
    from attune_ops.render.wire import json_text

    rows = []
    for name in _schemas.names():
        files.append(File.generated(config, f"schemas/{name}.json", content=json_text(_schemas.schema(name))))
        rows.append(f"| [{name}](../schemas/{name}.json) | `attune-ops config schema {name}` |")
    page = files.get_file_from_path("reference/schemas.md")
    page.content_string += "\n".join(["| schema | printed by |", "| --- | --- |", *rows, ""])


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """What a forge understands: links out of `docs`, Markdown in a folded section, `\\|` in code in a table."""

    def rewritten(link: re.Match[str]) -> str:
        path = _outside(link[0], page.file.src_uri)
        if path is None:
            return link[0]
        inside = path.removeprefix("docs/") if path.startswith("docs/") else f"project/{path}"
        return posixpath.relpath(inside, posixpath.dirname(page.file.src_uri) or ".")

    markdown = LINK.sub(rewritten, markdown).replace("<details>", '<details markdown="1">')
    return ROW.sub(lambda row: CODE.sub(lambda code: code[0].replace(r"\|", "|"), row[0]), markdown)


def _outside(link: str, page: str) -> str | None:
    """The path in the repository of a link that leaves `docs`; None for one inside."""
    if page.startswith("project/"):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page.removeprefix("project/")), link))
    else:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
        if path.startswith("docs/"):
            return None
    return None if path.startswith("..") else path
