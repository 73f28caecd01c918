"""The undo list of a running drill on disk, and undoing it after the drill itself was killed.

Each entry is written before what it undoes is done. A file holds no password: where the broker is, is told by
the name of a lab or of an environment.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from attune_ops.drills import faults
from attune_ops.installation.config.running_lab import Process, lab_folder, start_time
from attune_ops.installation.config.settings import Settings
from attune_ops.lab import process as processes
from attune_ops.lab.folder import remove
from attune_ops.model.errors import AttuneOpsError
from attune_ops.model.files import state_folder

Note = Callable[[str], None]


class Entry(msgspec.Struct, frozen=True):
    """What is to be undone: a process ended, a folder removed, a virtual host or user deleted, a lab taken down."""

    kind: str
    name: str
    started: str = ""


class Record(msgspec.Struct):
    """The file of one run: whose it is, where its broker is, and what is to be undone, in order of doing."""

    drill: str
    pid: int
    started: str
    lab: str | None = None
    env: str | None = None
    undo: list[Entry] = []


class UndoList:
    """The undo list of this run; what is undone leaves it, and an empty one leaves no file."""

    def __init__(self, drill: str, *, env: str | None = None) -> None:
        self.file = folder() / f"{secrets.token_hex(6)}.json"
        self.record = Record(drill, os.getpid(), start_time(os.getpid()) or "", env=env)

    def add(self, kind: str, name: str, started: str = "") -> Entry:
        """Puts an entry on the list, on disk before this returns."""
        entry = Entry(kind, name, started)
        self.record.undo.append(entry)
        self._save()
        return entry

    def at(self, lab: str) -> None:
        """Says on which lab the virtual host is."""
        self.record.lab, self.record.env = lab, None
        self._save()

    def undo(self, settings: Settings | None, note: Note) -> None:
        """Undoes everything in reverse order; what fails stays on the list, for `drill recover`."""
        for entry in list(reversed(self.record.undo)):
            try:
                undo(entry, settings)
            except (AttuneOpsError, OSError) as e:
                note(f"could not undo {entry.kind} {entry.name}: {e}; attune-ops drill recover tries again")
            except KeyboardInterrupt:
                note("interrupted once more, with things left to undo: attune-ops drill recover does that")
                raise
            else:
                self.record.undo.remove(entry)
                self._save()

    def _save(self) -> None:
        if not self.record.undo:
            self.file.unlink(missing_ok=True)
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.file.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(self.record))
        new.replace(self.file)


def folder() -> Path:
    """Where the undo lists of running drills are."""
    return state_folder("drills")


def undo(entry: Entry, settings: Settings | None) -> None:
    """Undoes one entry; what is gone already is no error. Raises what the broker or the system says."""
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
            lab_folder(entry.name).with_suffix(".lock").unlink(missing_ok=True)  # nobody will use this name again
        case "vhost" if settings is not None:
            faults.delete_vhost(settings, entry.name)
        case "user" if settings is not None:
            faults.delete_user(settings, entry.name)


def recover(settings_of: Callable[[Record], Settings | None], note: Note) -> int:
    """Undoes what killed drills left; those that still run are left alone. Returns how many were recovered."""
    done = 0
    for file, record in left():
        note(f"drill {record.drill}: undoing {len(record.undo)} things")
        made = UndoList(record.drill)
        made.file, made.record = file, record
        made.undo(settings_of(record), note)
        done += not record.undo
    return done


def left() -> list[tuple[Path, Record]]:
    """The undo lists of drills that were killed."""
    return [(file, r) for file, r in records() if not Process(r.pid, r.started).alive]


def records() -> Iterator[tuple[Path, Record]]:
    """The undo lists that are there, of drills that run and of those that were killed."""
    for file in sorted(folder().glob("*.json")):
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            continue  # its drill has ended meanwhile
        yield file, msgspec.json.decode(data, type=Record)
