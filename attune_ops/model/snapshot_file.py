"""Files with facts: a snapshot of ours, or a definitions export of RabbitMQ, each plain or gzipped.

The content, not the name, says which one it is. An invalid, incomplete, huge or hostile file raises one `ConfigError`.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from attune_ops.model.decoding import decode
from attune_ops.model.definitions import UNKNOWN, Definitions
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import SCHEMA, Facts, Source, encode, with_topology
from attune_ops.model.files import shown, write_file
from attune_ops.model.secret import Secret, is_common, mask_url, scrubbed
from attune_ops.model.snapshot import BrokerSnapshot
from attune_ops.model.topologies import DEFAULT, candidates, load
from attune_ops.model.topology import Topology

# Unpacked. A hundred thousand workers with four queues each take about 300 MB.
MAX_BYTES = 1_000_000_000

MOST_NAMES = 20  # of virtual hosts in an error

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"

T = TypeVar("T")


def load_facts(
    path: str,
    topology: Topology | None = None,
    vhost: str | None = None,
    *,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Facts:
    """Reads a file as facts; `topology` and `vhost` replace or choose those of the file.

    `-` is the standard input. What a definitions file does not contain is in `Facts.missing` with its reason. Without
    `vhost` it is the only virtual host that is not empty, which `on_progress` reports where the file has others.
    Raises `ConfigError`, which lists the virtual hosts where the file has several that are not empty.
    """
    content = _Content(path)
    if content.is_snapshot:
        facts = content.facts(topology)
        if vhost is not None and vhost != facts.vhost:
            raise ConfigError(f"{content.shown}: it is a snapshot of virtual host {facts.vhost!r}, not of {vhost!r}")
        return facts
    brokers = content.brokers()
    name = choose_vhost(brokers, content.shown, vhost, on_progress)
    return _facts_of(brokers[name], topology)


def load_all(path: str, topology: Topology | None = None) -> FileFacts:
    """Reads a file as facts, those of each virtual host in it by its name; raises `ConfigError`."""
    content = _Content(path)
    if content.is_snapshot:
        facts = content.facts(topology)
        return FileFacts({facts.vhost: facts})
    brokers = content.brokers()
    return FileFacts({name: _facts_of(broker, topology) for name, broker in brokers.items()}, brokers.whole)


class FileFacts(dict[str, Facts]):
    """The facts of each virtual host of a file; `whole` where it is an export of all virtual hosts of a broker."""

    def __init__(self, found: Mapping[str, Facts], whole: bool = False) -> None:
        super().__init__(found)
        self.whole = whole


def _facts_of(broker: BrokerSnapshot, topology: Topology | None) -> Facts:
    """The facts of one virtual host of a definitions export."""
    given, topology = topology is not None, topology or load(DEFAULT)
    facts = Facts(
        topology=topology, taken_at=broker.taken_at, broker=broker, missing=dict(UNKNOWN), vhost=broker.vhost
    )  # fmt: skip
    return with_topology(facts, candidates(topology), given=given)


class Brokers(dict[str, BrokerSnapshot]):
    """The broker of a file, each virtual host by its name.

    `filled` are the names of those with an exchange, a queue or a binding. `nameless`: a file of one virtual host
    without its name. `whole`: an export of a whole broker, with all its virtual hosts. `missing`: why a snapshot lacks
    something of the broker.
    """

    filled: frozenset[str] = frozenset()
    nameless = False
    whole = False
    missing = ""


def choose_vhost(
    brokers: Brokers, file: str, vhost: str | None = None, on_progress: Callable[[str], None] = lambda _: None
) -> str:
    """The virtual host that is asked for, else the only one that is not empty; raises `ConfigError` with the list.

    `on_progress` reports one that was chosen among several.
    """
    if vhost is not None:
        if vhost in brokers:
            return vhost
        if brokers.nameless:
            raise ConfigError(f"{file}: it is an export of one virtual host without its name; omit --vhost")
        raise ConfigError(f"{file}: no virtual host {vhost!r}; it has {_names(brokers)}")
    filled = [name for name in brokers if name in brokers.filled] or list(brokers)
    if len(filled) > 1:
        raise ConfigError(f"{file}: it has several virtual hosts, give --vhost: {_names(filled)}")
    if len(brokers) > 1:
        on_progress(f"{file}: virtual host {filled[0]!r}, the only one of {len(brokers)} that is not empty")
    return filled[0]


def _names(vhosts: Iterable[str]) -> str:
    names = sorted(vhosts)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(map(repr, names[:MOST_NAMES])) + more


def load_brokers(path: str) -> Brokers:
    """Reads the broker of a file, each virtual host in it by its name; raises `ConfigError`."""
    content = _Content(path)
    if not content.is_snapshot:
        return content.brokers()
    facts = content.decode(Facts)
    missing = facts.missing.get(Source.BROKER, "")
    if facts.broker is None:
        raise ConfigError(f"{content.shown}: the snapshot has no broker: {missing or 'not read'}")
    found = Brokers({facts.vhost: facts.broker})
    found.filled, found.missing = frozenset(found), missing
    return found


def save_facts(facts: Facts, path: str, *, replace: bool = False, secrets: tuple[Secret, ...] = ()) -> int:
    """Writes a snapshot file, gzipped, the same bytes for the same facts; returns its size in bytes.

    It contains no secrets: client properties are never read, and passwords in URLs and `secrets` are masked. An
    existing file is replaced with `replace`, else not changed. Undo: delete the file. Raises `ConfigError`.
    """
    return write_file(path, packed(masked(facts, secrets)), "the snapshot", replace=replace)


def packed(facts: Facts) -> bytes:
    """The content of a snapshot file."""
    import gzip

    return gzip.compress(encode(facts), compresslevel=6, mtime=0)


def masked(facts: Facts, secrets: tuple[Secret, ...] = ()) -> Facts:
    """The facts with every password in a URL masked, and the `secrets`, except ordinary words, which may be names."""
    kept = tuple(s for s in secrets if s and not is_common(s.reveal()))
    whole = encode(facts).decode() if kept else ""
    if any(msgspec.json.encode(s.reveal()).decode()[1:-1] in whole for s in kept):
        facts = msgspec.convert(scrubbed(msgspec.json.decode(whole), kept), Facts)
    text = mask_url(msgspec.json.encode(msgspec.structs.replace(facts, broker=None, earlier=None)).decode())
    made = decode(text, Facts)
    return msgspec.structs.replace(made, broker=_masked_broker(facts.broker), earlier=_masked_broker(facts.earlier))


def _masked_broker(broker: BrokerSnapshot | None) -> BrokerSnapshot | None:
    if broker is None or broker.connections is None:
        return broker
    connections = tuple(
        msgspec.structs.replace(c, client_name=mask_url(c.client_name)) if c.client_name else c
        for c in broker.connections
    )
    return msgspec.structs.replace(broker, connections=connections)


class _Head(msgspec.Struct):
    """Enough of a file to recognise it."""

    schema: str | None = None
    exchanges: msgspec.Raw = msgspec.Raw()
    queues: msgspec.Raw = msgspec.Raw()
    vhosts: msgspec.Raw = msgspec.Raw()
    users: msgspec.Raw = msgspec.Raw()
    permissions: msgspec.Raw = msgspec.Raw()
    policies: msgspec.Raw = msgspec.Raw()
    parameters: msgspec.Raw = msgspec.Raw()
    bindings: msgspec.Raw = msgspec.Raw()

    @property
    def parts(self) -> list[str]:
        """The members of a definitions export that it has, without exchanges and queues."""
        names = ("users", "vhosts", "permissions", "policies", "parameters", "bindings")
        return [name for name in names if getattr(self, name)]


class _Content:
    """The unpacked bytes of a file, and their format."""

    def __init__(self, path: str) -> None:
        self.shown = shown(path)
        self.data, self.time = self._read(path)
        head = self.decode(_Head)
        self.is_snapshot = head.schema == SCHEMA
        if self.is_snapshot or (head.schema is None and (head.exchanges or head.queues)):
            return
        if head.schema is not None and head.schema.startswith(SCHEMA.rpartition("/")[0]):
            raise ConfigError(
                f"{self.shown}: {head.schema!r} is of another release of attune-ops, which reads {SCHEMA!r}"
            )
        if head.schema is None and head.parts:
            raise ConfigError(
                f"{self.shown}: a definitions export with {', '.join(head.parts)} only; it has neither exchanges nor "
                "queues: export the whole definitions"
            )
        what = f"it is {head.schema!r}" if head.schema else "it has neither exchanges nor queues"
        raise ConfigError(f"{self.shown}: neither a snapshot nor a RabbitMQ definitions export: {what}")

    def facts(self, topology: Topology | None) -> Facts:
        """The facts of a snapshot, with another topology where one is given."""
        facts = self.decode(Facts)
        if topology is None:
            return facts
        facts = msgspec.structs.replace(facts, topology=topology, recognised=False, assumed=False)
        return with_topology(facts, candidates(topology), given=True)

    def decode(self, kind: type[T]) -> T:
        """The content as `kind`; raises `ConfigError` for invalid JSON or other fields."""
        try:
            return decode(self.data, kind)
        except msgspec.ValidationError as e:
            raise ConfigError(f"{self.shown}: unexpected content: {e}") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise ConfigError(f"{self.shown}: invalid or incomplete JSON: {self._place(str(e))}") from None
        except RecursionError:
            raise ConfigError(f"{self.shown}: nested too deeply to be a snapshot or definitions") from None

    def _place(self, error: str) -> str:
        """The decoder's error, with line and column instead of the byte."""
        found = re.search(r"\(byte (\d+)\)", error)
        if found is None:
            return error
        before = self.data[: int(found[1])]
        if "trailing comma" in error:  # the decoder names the bracket after it
            before = before.rstrip()[:-1]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        return error.replace(found[0], f"(line {line}, column {column})")

    def brokers(self) -> Brokers:
        """The virtual hosts of a definitions export."""
        try:
            definitions = self.decode(Definitions)
            found = Brokers(definitions.brokers(self.time))
            found.filled, found.nameless, found.whole = (
                definitions.filled,
                definitions.nameless,
                bool(definitions.vhosts),
            )
            return found
        except msgspec.DecodeError as e:
            raise ConfigError(f"{self.shown}: unexpected content: {e}") from None

    def _read(self, path: str) -> tuple[bytes, datetime]:
        try:
            if path == "-":
                return self._unpack(sys.stdin.buffer.read(MAX_BYTES + 1)), datetime.now(UTC)
            file = Path(path).expanduser()
            if file.is_dir():
                raise ConfigError(f"{self.shown}: a folder; use a snapshot or a definitions export")
            with file.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
            return self._unpack(data), datetime.fromtimestamp(file.stat().st_mtime, UTC)
        except (OSError, ValueError) as e:
            raise ConfigError(f"cannot read {self.shown}: {_reason(e)}") from None

    def _unpack(self, data: bytes) -> bytes:
        if data.startswith(ZSTD):
            raise ConfigError(f"{self.shown}: packed with zstd; unpack it first (zstd -d)")
        if data.startswith(GZIP):
            data = self._gunzip(data)
        if len(data) > MAX_BYTES:
            raise ConfigError(
                f"{self.shown}: more than {MAX_BYTES // 1_000_000} MB; not a snapshot or definitions export"
            )
        return data.removeprefix(b"\xef\xbb\xbf")

    def _gunzip(self, data: bytes) -> bytes:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            unpacked = unpacker.decompress(data, MAX_BYTES + 1)
        except zlib.error as e:
            raise ConfigError(f"{self.shown}: the gzip data is damaged: {e}") from None
        if not unpacker.eof and len(unpacked) <= MAX_BYTES:
            raise ConfigError(f"{self.shown}: the gzip data is cut off after {len(data)} bytes")
        return unpacked


def _reason(error: Any) -> str:
    return getattr(error, "strerror", None) or str(error)
