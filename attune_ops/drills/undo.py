"""The undo list of a running drill on disk, and undoing it after the drill itself was killed.

Each entry is written before the change that it undoes. A file holds no password: it names the broker by its lab or
environment.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from attune_ops.installation.config.running_lab import Process, lab_folder, start_time
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management_write import ManagementWriter, open_writer
from attune_ops.lab import process as processes
from attune_ops.lab.folder import remove
from attune_ops.model.errors import ActionError, AttuneOpsError
from attune_ops.model.files import make_folder, make_private, shown, state_folder
from attune_ops.model.units import counted
from attune_ops.model.waiting import OnProgress

SettingsOf = Callable[[], Settings | None]

ANSWER_S = 60.0  # a cluster answers when each node has the new virtual host, for which it waits up to 45 s


class UndoEntry(msgspec.Struct, frozen=True):
    """One thing to undo: end a process, remove a folder, delete a virtual host or user, stop a lab."""

    kind: str
    name: str
    started: str = ""


class Record(msgspec.Struct):
    """The file of one run: its process, its broker, and what to undo, in the order in which it was done."""

    drill: str
    pid: int
    started: str
    lab: str | None = None
    env: str | None = None
    broker: str = ""  # the address of the environment's management API: its name may mean another one elsewhere
    undo: list[UndoEntry] = []


class UndoList:
    """The undo list of this run; what is undone is removed from it, and the file of an empty list is deleted.

    `settings_of` gives the settings of its broker, None where that no longer exists, and raises where it is not known.
    """

    def __init__(self, drill: str, *, env: str | None = None, broker: str = "") -> None:
        self.file = folder() / f"{secrets.token_hex(6)}.json"
        self.record = Record(drill, os.getpid(), start_time(os.getpid()) or "", env=env, broker=broker)
        self.settings_of: SettingsOf = lambda: None

    def add(self, kind: str, name: str, started: str = "") -> UndoEntry:
        """Adds an entry to the list, on disk before this returns."""
        entry = UndoEntry(kind, name, started)
        self.record.undo.append(entry)
        self._save()
        return entry

    def set_lab(self, lab: str) -> None:
        """Records the lab of the virtual host."""
        self.record.lab, self.record.env = lab, None
        self._save()

    def undo(self, on_progress: OnProgress) -> None:
        """Undoes everything in reverse order; an entry that fails stays on the list, for `drill recover`."""
        for entry in list(reversed(self.record.undo)):
            try:
                undo(entry, self.settings_of)
            except (AttuneOpsError, OSError) as e:
                on_progress(f"could not undo {entry.kind} {entry.name}: {e}; to try again: attune-ops drill recover")
            except KeyboardInterrupt:
                on_progress(
                    "interrupted again before everything was undone; to undo the rest: attune-ops drill recover"
                )
                raise
            else:
                self.record.undo.remove(entry)
                self._save()

    def _save(self) -> None:
        if not self.record.undo:
            self.file.unlink(missing_ok=True)
            return
        make_folder(self.file.parent)
        new = self.file.with_suffix(f".{os.getpid()}.new")  # two `drill recover` may run at once
        make_private(new)
        new.write_bytes(msgspec.json.encode(self.record))
        new.replace(self.file)


def writer(settings: Settings, vhost: str | None = None) -> ManagementWriter:
    """The writes of the management API, with a timeout that is long enough for a cluster."""
    return open_writer(settings, vhost, max(settings.timeout, ANSWER_S))


def folder() -> Path:
    """The folder of the undo lists."""
    return state_folder("drills")


def undo(entry: UndoEntry, settings_of: SettingsOf) -> None:
    """Undoes one entry; something that no longer exists is no error. Raises the error of the broker or the system."""
    match entry.kind:
        case "process":
            process = Process(int(entry.name), entry.started)
            processes.send(process, signal.SIGCONT)
            processes.end([process], 3)
        case "folder":
            remove(Path(entry.name))
        case "lab":
            from attune_ops.lab import down

            down(entry.name)
            lab_folder(entry.name).with_suffix(".lock").unlink(missing_ok=True)  # the name is not used again
        case "vhost" if (settings := settings_of()) is not None:
            with writer(settings, entry.name) as broker:
                broker.delete_vhost()
        case "user" if (settings := settings_of()) is not None:
            with writer(settings) as broker:
                broker.delete_user(entry.name)


def recover(settings_of: Callable[[Record], Settings | None], on_progress: OnProgress) -> int:
    """Undoes what killed drills left, but not that of drills that still run. Returns how many drills it undid.

    Raises `ActionError`, once the others are undone, for a file that is no undo list.
    """
    done, wrong = 0, list[str]()
    for file, record in abandoned(wrong.append):
        on_progress(f"drill {record.drill}: undoing {counted(len(record.undo), 'change')}")
        made = UndoList(record.drill)
        made.file, made.record = file, record
        made.settings_of = partial(settings_of, record)
        made.undo(on_progress)
        done += not record.undo
    if wrong:
        raise ActionError(f"no undo list: {'; '.join(wrong)}. Nothing of it was undone: undo it by hand and delete it")
    return done


def abandoned(on_wrong: Callable[[str], None] = lambda text: None) -> list[tuple[Path, Record]]:
    """The undo lists of drills that were killed; `on_wrong` gets a sentence about each file that is none."""
    return [(file, r) for file, r in records(on_wrong) if not Process(r.pid, r.started).alive]


def records(on_wrong: Callable[[str], None] = lambda text: None) -> Iterator[tuple[Path, Record]]:
    """All undo lists, of drills that run and of drills that were killed."""
    for file in sorted(folder().glob("*.json")):
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            continue  # its drill has just ended
        try:
            record = msgspec.json.decode(data, type=Record)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            on_wrong(f"{shown(str(file))} ({e})")
            continue
        yield file, record
