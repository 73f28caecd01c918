"""The machine's RabbitMQ with fewer plug-ins on Erlang's code path, and told to waste no processor time.

The tests start about a hundred nodes. Erlang looks for each module in the folders of all plug-ins, one after the other,
whether these are enabled or not. It loads the thousand modules that RabbitMQ looks into one by one, and links each with
all before it. The programs are the same, and so is all that a lab enables.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from attune_ops.lab import server
from attune_ops.lab.node import PLUGINS
from attune_ops.model.errors import ConfigError

BASE = ("rabbit", "rabbitmq_prelaunch", *PLUGINS)
NEEDED = (*BASE, "rabbitmq_mqtt", "rabbitmq_stream")  # the last two by a test
# One scheduler has no locks to share, and tests keep all processors busy anyway; threads that have nothing to do sleep;
# tables for the processes of a small broker, not for a million.
LEAN = "+S 1:1 +SDcpu 1:1 +SDio 2 +sbwt none +sbwtdcpu none +sbwtdio none +P 65536 +hms 1000"
LOAD = """-eval 'code:ensure_modules_loaded([list_to_atom(filename:basename(File, ".beam")) || Application <- [{}],
    File <- filelib:wildcard(filename:join([code:lib_dir(Application), "ebin", "*.beam"]))]).'"""
EXEC = "    exec erl \\\n"  # in the script rabbitmq-server


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
    applications = {name: _applications(found, name) for name in NEEDED}
    for name in {name for named in applications.values() for name in named if name in found}:
        (folder / "plugins" / found[name].name).symlink_to(found[name])
    (folder / "escript").symlink_to(home / "escript")
    shutil.copytree(home / "sbin", folder / "sbin")
    script, first = folder / "sbin" / "rabbitmq-server", list(dict.fromkeys(n for b in BASE for n in applications[b]))
    script.write_text(script.read_text().replace(EXEC, f"{EXEC}{LEAN} {LOAD.format(', '.join(first))} \\\n"))


def _applications(found: dict[str, Path], name: str) -> list[str]:
    """The Erlang applications that one needs, itself first; those of Erlang's own are told by name."""
    needed = [name]
    for each in needed:  # grows meanwhile
        if each in found:
            description = (found[each] / "ebin" / f"{each}.app").read_text()
            for listed in re.findall(r"\{applications,\s*\[([^\]]*)\]", description):
                needed += [n for n in re.findall(r"\w+", listed) if n not in needed]
    return needed


def use(folder: Path) -> None:
    """Has this process start it where no other is named."""
    if (folder / "sbin").is_dir():
        server.FOLDERS = (str(folder / "sbin"), *server.FOLDERS)
