"""Several environments in one run: `--env` more than once, or `--all-envs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from attune_ops.cli._run import Cli

if TYPE_CHECKING:
    from attune_ops.doctor.reports import Reports
    from attune_ops.installation.config import Settings
    from attune_ops.model.errors import ConfigError

all_envs_option = click.option(
    "--all-envs", is_flag=True, help="All environments of the configuration file; or give --env several times."
)


class Several:
    """The environments of a run, their settings, and the target options of the commands that are printed."""

    def __init__(self, cli: Cli, settings: dict[str, Settings | ConfigError], options: dict[str, str]) -> None:
        self.cli, self.settings, self.options = cli, settings, options

    def note(self, env: str, said: str) -> None:
        """Prints a message about one of them on stderr."""
        self.cli.note(self._named(f"{env}: {said}", env))

    def _named(self, value: Any, env: str) -> Any:
        from attune_ops.cli._target_options import with_target_options

        return with_target_options(value, {"env": env, **self.options})

    def with_commands(self, reports: Reports) -> Reports:
        """The reports with commands that reach the environment of each."""
        import msgspec

        replace = msgspec.structs.replace
        return replace(
            reports,
            environments=tuple(
                e if e.report is None else replace(e, report=self._named(e.report, e.env)) for e in reports.environments
            ),
        )


def several(cli: Cli, all_envs: bool) -> Several | None:
    """The environments of a run that is for several; None where it is for one installation."""
    if not all_envs and len(cli.envs) < 2:
        return None
    if all_envs and cli.envs:
        raise click.UsageError("--all-envs and --env: give one of them")
    import os

    from attune_ops.installation.config.several import OF_ONE, ignored_variables
    from attune_ops.installation.config.several import several as settings_of

    for name in OF_ONE:
        if name != "env" and name in cli.options:
            raise click.UsageError(f"--{name.replace('_', '-')} is for one installation, not for several environments")
    settings = cli.use(settings_of(cli.envs or None, cli.options, os.environ))
    ignored = ignored_variables(os.environ)
    if ignored:
        cli.note(f"{', '.join(ignored)}: ignored, as there are several environments")
    options = {name: value for name, value in cli.options.items() if name != "env"}
    cli.options = {}  # what is printed has the options of its own environment
    return Several(cli, settings, options)
