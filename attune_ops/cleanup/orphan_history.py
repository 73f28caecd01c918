"""Since when queues are seen orphaned, kept between two looks in the user's state folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.model.errors import ActionError

_decoder = msgspec.json.Decoder(dict[str, datetime])


def sightings_file(settings: Settings) -> Path:
    """Where they are kept for this broker and virtual host, whether or not there are any yet."""
    import platformdirs

    amqp = settings.amqp
    name = "-".join((quote(amqp.host, safe=""), str(amqp.port), quote(amqp.path, safe="")))[:200]
    return platformdirs.user_state_path("attune-ops") / "reap" / f"{name}.json"


@contextlib.contextmanager
def sightings(settings: Settings) -> Iterator[dict[str, datetime]]:
    """Gives what was seen before, for this process alone, and keeps what the block leaves in it.

    A file that is no such file counts as nothing seen: the grace period then begins anew. Raises `ActionError`
    where it cannot be written.
    """
    file = sightings_file(settings)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise ActionError(f"{str(file)!r} cannot be written, so nobody knows what was orphaned before: {e}") from e
    with os.fdopen(descriptor, "r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        try:
            seen = _decoder.decode(stream.read())
        except (msgspec.DecodeError, UnicodeDecodeError):
            seen = {}
        yield seen
        stream.seek(0)
        stream.truncate()
        stream.write(msgspec.json.encode(seen))
