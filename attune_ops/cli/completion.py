"""`attune-ops completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from attune_ops.cli import _base, _run


@_base.command(example='eval "$(attune-ops completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@_run.pass_cli
def command(cli: _run.Cli, shell: str) -> None:
    """Prints the completion script of a shell.

    bash: add the line of the example to ~/.bashrc. zsh: the same with `zsh`, in ~/.zshrc. fish: attune-ops completion
    fish > ~/.config/fish/completions/attune-ops.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    cli.write(kind(root, {}, "attune-ops", "_ATTUNE_OPS_COMPLETE").source())
