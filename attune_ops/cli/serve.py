"""`attune-ops serve`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from attune_ops.cli import _base
from attune_ops.cli._duration import duration
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.cli._several import all_envs_option, several

if TYPE_CHECKING:
    from collections.abc import Callable

    from attune_ops.installation.config import Settings
    from attune_ops.monitoring.exporter import Exporter
    from attune_ops.monitoring.exporters import Exporters
    from attune_ops.monitoring.recorder import Clusters

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@_base.command(example="attune-ops serve --port 0 --for 3s", several_envs=True)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=9419, show_default=True, metavar="PORT", help="0: any.")
@click.option(
    "--interval", type=duration, default="15s", show_default=True, metavar="TIME", help="Interval between readings."
)
@click.option("--for", "span", type=duration, metavar="TIME", help="Duration (default: until Ctrl-C).")
@click.option(
    "--max-workers", type=click.IntRange(min=0), default=1000, show_default=True, metavar="N",
    help="Workers with series of their own; those that are not ready come first.",
)  # fmt: skip
@click.option("--web-config", metavar="FILE", help="TLS and basic authentication, in Prometheus' web configuration.")
@click.option("--record", metavar="FOLDER|URI", help="Record each reading there, as history record does.")
@all_envs_option
@pass_cli
def command(
    cli: Cli,
    host: str,
    port: int,
    interval: float,
    span: float | None,
    max_workers: int,
    web_config: str | None,
    record: str | None,
    all_envs: bool,
) -> None:
    """Serves metrics, health and a status page over HTTP, until Ctrl-C or SIGTERM.

    /metrics is for Prometheus; /healthz/worker/NAME and /healthz/broker answer 200 or 503 with one line, /readyz too;
    / is the HTML report of the last reading. There is one reading every interval, however many clients ask; while the
    broker is away the last values stay, with their age. Needs tag monitoring and the extra monitoring; changes nothing.

    With several environments each metric has the label env, and /env/NAME/ has the pages of one of them.
    """
    import threading

    from attune_ops.model.errors import ConfigError
    from attune_ops.monitoring.exporter import http_server
    from attune_ops.monitoring.served_reading import share_process
    from attune_ops.monitoring.web_config import read_web_config

    if not 1 <= interval <= 86400:
        raise ConfigError("the interval is 1 s to 1 day")
    web = read_web_config(web_config)
    share_process()
    exporter = _exporter(cli, all_envs, interval, max_workers, record)
    server = http_server(exporter, host, port, web)
    scheme = "https" if web.tls_server_config else "http"
    shown = f"[{host}]" if ":" in host else host
    cli.note(f"serving {scheme}://{shown}:{server.server_address[1]}/ and /metrics; Ctrl-C ends it")
    if host not in LOOPBACK and not web.protected:
        cli.note("everyone who reaches this address can read it: --web-config adds TLS and authentication")
    exporter.start()
    end = threading.Timer(span or 0, server.shutdown)
    end.daemon = True
    if span is not None:
        end.start()
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:  # also SIGTERM: the usual end
        cli.note("stopped")
    finally:
        end.cancel()
        exporter.stop()
        server.server_close()


def _exporter(cli: Cli, all_envs: bool, interval: float, max_workers: int, record: str | None) -> Exporter | Exporters:
    """What answers the requests; raises `ConfigError` where the configuration of an environment is wrong."""
    from attune_ops.model.errors import ConfigError
    from attune_ops.monitoring.exporter import Exporter
    from attune_ops.monitoring.exporters import Exporters

    known: Clusters = {}

    def made(settings: Settings, note: Callable[[str], None], label: str | None = None) -> Exporter:
        recording = None
        if record is not None:
            from attune_ops.monitoring.recorder import Recorder, Recording

            recording = Recording(Recorder(settings, record, interval=interval, known=known), note)
        return Exporter(settings, interval=interval, most_workers=max_workers, record=recording, label=label, note=note)

    environments = several(cli, all_envs)
    if environments is None:
        return made(cli.settings, cli.note)
    exporters = dict[str, Exporter]()
    for env, settings in environments.settings.items():
        if isinstance(settings, ConfigError):
            raise settings
        exporters[env] = made(settings, partial(environments.note, env), env)
    return Exporters(exporters)
