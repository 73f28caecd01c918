"""`attune-ops serve`."""

from __future__ import annotations

import click

from attune_ops.cli import _base
from attune_ops.cli._base import Cli, pass_cli
from attune_ops.cli._duration import duration

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@_base.command(example="attune-ops serve --port 0 --for 3s")
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
) -> None:
    """Serves metrics, health and a status page over HTTP, until Ctrl-C or SIGTERM.

    /metrics is for Prometheus; /healthz/worker/NAME and /healthz/broker answer 200 or 503 with one line, /readyz too;
    / is the HTML report of the last reading. There is one reading every interval, however many clients ask; while the
    broker is away the last values stay, with their age. Needs tag monitoring and the extra monitoring; changes nothing.
    """
    import threading

    from attune_ops.model.errors import ConfigError
    from attune_ops.monitoring.exporter import Exporter, http_server
    from attune_ops.monitoring.served_reading import limit_memory
    from attune_ops.monitoring.web_config import read_web_config

    if not 1 <= interval <= 86400:
        raise ConfigError("the interval is 1 s to 1 day")
    web = read_web_config(web_config)
    recording = None
    if record is not None:
        from attune_ops.monitoring.recorder import Recorder, Recording

        recording = Recording(Recorder(cli.settings, record, interval=interval), cli.note)
    limit_memory()
    exporter = Exporter(cli.settings, interval=interval, most_workers=max_workers, record=recording)
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
