"""`attune-ops docs`."""

from __future__ import annotations

import click

from attune_ops.cli import _base, _complete
from attune_ops.cli._base import format_option
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.model.errors import AttuneOpsError


@_base.command(example="attune-ops docs AT401")
@click.argument("name", metavar="[CODE|PAGE]", required=False, shell_complete=_complete.documentation)
@click.option("--open", "open_", is_flag=True, help="Open it in the browser (needs docs_url, or a built site).")
@format_option("html")
@pass_cli
def command(cli: Cli, name: str | None, open_: bool, format: str) -> None:
    """Prints a page of the documentation: of a check by its code, or by name. Without an argument, lists the pages.

    The pages are part of the package: nothing is connected to.
    """
    from attune_ops.doctor import documentation
    from attune_ops.installation.config import docs_url
    from attune_ops.render import wire

    if open_:
        import webbrowser

        address = documentation.address(name, docs_url(cli.options))
        if not webbrowser.open(address):
            raise AttuneOpsError(f"no browser could be started for {address}")
        cli.note(f"opened {address}")
    elif name is None:
        cli.show(documentation.pages(docs_url(cli.options)), format)
        cli.note("print a page: attune-ops docs PAGE; a check: attune-ops docs AT401")
    else:
        page = documentation.documentation(name)
        if isinstance(page, documentation.DocumentationPage) and format in ("table", "markdown"):
            wire.write(page.text)  # unmasked: it has no secrets, but examples of URLs
        else:
            cli.show(page, format)
