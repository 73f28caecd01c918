"""What the tool raises when the tool or the call is broken.

A broken *broker* is a finding, not an exception. Each class says what kind of failure it is;
which exit status that becomes is decided in one place, `attune_ops.cli._exit`.
"""

from __future__ import annotations


class AttuneOpsError(Exception):
    """Base of everything this package raises on purpose; its text is one sentence for an operator."""


class ConfigError(AttuneOpsError):
    """The command line, an environment variable or a configuration file is wrong."""


class TopologyError(ConfigError):
    """A topology file is wrong; the text names the file, the field, what was found and what is allowed."""


class SourceError(AttuneOpsError):
    """A broker, management API or database could not be reached, refused the credentials or made no sense."""


class ActionError(AttuneOpsError):
    """A change was refused or failed; the text says what was left as it was."""


class DrillRefused(AttuneOpsError):
    """A drill was not started because its preconditions do not hold; nothing was changed."""


class Interrupted(KeyboardInterrupt):
    """Somebody interrupts what can be gone on with; the text says what is done and how to go on."""
