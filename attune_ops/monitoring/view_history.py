"""How the recorded history is shown: trends to people, samples to programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Table
from attune_ops.monitoring.history import History
from attune_ops.render import view_table
from attune_ops.render.text import visible

# What JupyterLab 4 draws; altair 6 calls its charts v6, which are the same for a few lines.
VEGA_LITE = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
LINES = 10  # queues in the chart: the deepest
WIDTH, HEIGHT = 520, 220  # of the chart, in px; the names stand beside it


def as_table(history: History) -> Any:
    """The trends."""
    return view_table.as_table(history.trends)


def as_text(history: History) -> str:
    """The trends in full."""
    return view_table.as_text(history.trends)


def as_html(history: History) -> str:
    """The trends as a table."""
    return view_table.as_html(history.trends)


def as_markdown(history: History) -> str:
    """The trends as a table."""
    return view_table.as_markdown(history.trends)


def rows(history: History) -> Table:
    """The samples, a row each."""
    return history.table


def as_json(history: History) -> dict[str, Any]:
    """The samples, as `attune-ops/table/1`."""
    return view_table.as_json(history.table)


def as_chart(history: History, colors: Mapping[str, str] | None = None) -> Any:
    """A line for each of the deepest queues. JupyterLab draws it without the network. `colors` by queue, as #rrggbb."""
    try:
        import altair as alt
    except ImportError:
        raise ConfigError("a chart needs altair: pip install 'attune-ops[notebook]'") from None

    class Chart(alt.Chart):
        """An altair chart that is drawn without scripts from the network."""

        def _repr_mimebundle_(self, *include: Any, **exclude: Any) -> dict[str, Any]:
            return {
                "text/plain": f"chart: {len(history.samples)} samples",
                VEGA_LITE: self.to_dict() | {"$schema": SCHEMA},
            }

    most = {row["queue"]: row["most"] or 0 for row in history.trends.records()}
    deepest = sorted(most, key=lambda queue: -int(str(most[queue])))[:LINES]
    data = [
        {"time": s.time.isoformat(), "queue": visible(s.queue), "messages": s.messages}
        for s in history.samples
        if s.queue in deepest
    ]
    top = max((s.messages or 0 for s in history.samples if s.queue in deepest), default=0)
    whole = alt.Axis(tickMinStep=1)
    shown = {visible(q): c for q, c in (colors or {}).items() if q in deepest}
    scale = alt.Scale(domain=list(shown), range=list(shown.values())) if shown else alt.Undefined
    return (
        Chart(alt.Data(values=data), title=f"depth of the queues of virtual host {visible(history.vhost)}")
        .mark_line(point=True)
        .properties(width=WIDTH, height=HEIGHT)
        .encode(
            x=alt.X("time:T", title="time"),
            y=alt.Y("messages:Q", title="messages", scale=alt.Scale(domain=[0, max(top, 1)]), axis=whole),
            color=alt.Color("queue:N", title="queue", scale=scale),
            tooltip=["queue:N", "time:T", "messages:Q"],
        )
    )
