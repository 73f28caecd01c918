"""The exceptions of this tool, for a broken tool or call.

A broken *broker* is a finding, not an exception. `attune_ops.cli._exit` maps each class to its exit status.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


class AttuneOpsError(Exception):
    """Base of everything this package raises on purpose; its text is one sentence for an operator."""


class ConfigError(AttuneOpsError):
    """The command line, an environment variable or a configuration file is wrong."""


class NoInstallation(ConfigError):
    """No setting names an installation; the text says which there are, or how to name one."""


class TopologyError(ConfigError):
    """A topology file is invalid; the text names the file, the field, what was found and what is allowed."""


class SourceError(AttuneOpsError):
    """A broker, management API or database is unreachable, refused the credentials or sent an invalid answer."""


class RegistryLocked(SourceError):
    """Another process keeps the registry locked; the text says which, where the server tells it."""


class ActionError(AttuneOpsError):
    """A change was refused or failed; the text says what was not changed."""


class DrillRefused(AttuneOpsError):
    """A drill was not started, as its preconditions are not met; nothing was changed."""


class Interrupted(KeyboardInterrupt):
    """An interrupt of a command that can be resumed; the text says what is done and how to resume."""


@contextlib.contextmanager
def reports_done(done: Callable[[], str]) -> Iterator[None]:
    """Appends to an error or interrupt that ends the block what is `done` before it; "" where nothing is."""
    try:
        yield
    except (ActionError, SourceError) as e:
        if more := done():
            raise (SourceError if isinstance(e, SourceError) else ActionError)(f"{e}; {more}") from e
        raise
    except KeyboardInterrupt as e:
        if more := done():
            raise Interrupted("; ".join(filter(None, (str(e), more)))) from None
        raise


def install(extra: str) -> str:
    """What to do about a library that an extra of this package brings.

    No `pip install` with the package's name: outside its own environment that would take the name from an index.
    """
    return f"install the extra {extra} (attune-ops docs install)"
