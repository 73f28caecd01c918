"""The machine's RabbitMQ with fewer plug-ins on Erlang's code path, so that its start takes a third less of a core.

Erlang looks for each module in the folders of all plug-ins, one after the other, whether these are enabled or not. The
tests start about a hundred nodes. The programs are the same, and so is all that a lab enables.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from attune_ops.lab import server
from attune_ops.lab.node import PLUGINS
from attune_ops.model.errors import ConfigError

NEEDED = ("rabbit", "rabbitmq_prelaunch", *PLUGINS, "rabbitmq_mqtt", "rabbitmq_stream")  # the last two by a test


def make(folder: Path) -> None:
    """Makes an installation in the folder: copies of the scripts, which look beside themselves, and links.

    Makes nothing where there is no RabbitMQ, or one whose folders are others.
    """
    try:
        home = Path(server.find().start).parents[1]
    except ConfigError:
        return
    found = {each.name.rpartition("-")[0]: each for each in (home / "plugins").glob("*-*") if each.is_dir()}
    if not (home / "escript").is_dir() or not found.keys() >= set(NEEDED):
        return
    (folder / "plugins").mkdir(parents=True)
    needed = list(NEEDED)
    for name in needed:  # grows meanwhile
        description = (found[name] / "ebin" / f"{name}.app").read_text()
        for listed in re.findall(r"\{applications,\s*\[([^\]]*)\]", description):
            needed += [n for n in re.findall(r"\w+", listed) if n in found and n not in needed]
        (folder / "plugins" / found[name].name).symlink_to(found[name])
    (folder / "escript").symlink_to(home / "escript")
    shutil.copytree(home / "sbin", folder / "sbin")


def use(folder: Path) -> None:
    """Has this process start it where no other is named."""
    if (folder / "sbin").is_dir():
        server.FOLDERS = (str(folder / "sbin"), *server.FOLDERS)
