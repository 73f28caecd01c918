"""How the recorded history is shown: trends as a table, samples as a DataFrame and as a chart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attune_ops.model.errors import ConfigError, install
from attune_ops.model.table import Table
from attune_ops.monitoring import terminal_chart
from attune_ops.render import view_table
from attune_ops.render.text import visible

if TYPE_CHECKING:
    from attune_ops.monitoring.history import History

# What JupyterLab 4 draws; altair 6 calls its charts v6, which are the same for a few lines.
VEGA_LITE = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
LINES = 10  # queues in the chart: the deepest
CHARTS = 3  # most charts in a terminal
BESIDE = 11  # lines for the table and around a chart
WIDTH, HEIGHT = 520, 220  # of the chart, in px; the names stand beside it
Depth = tuple[datetime, str, float | None]  # of a queue at a time; None: unknown, the line has a gap


def as_table(history: History) -> Any:
    """The trends."""
    return view_table.as_table(history.table)


def as_text(history: History) -> str:
    """The trends in full."""
    return view_table.as_text(history.table)


def as_html(history: History) -> str:
    """The trends as a table."""
    return view_table.as_html(history.table)


JSON = view_table.JSON


def as_json(history: History) -> view_table.TableJson:
    """The trends, as `attune-ops/table/1`."""
    return view_table.as_json(history.table)


def rows(history: History) -> Table:
    """The trends, a row each."""
    return history.table


def as_frame(history: History) -> Any:
    """The samples, a row for each reading and queue, worker or node; of gaps a row each."""
    from attune_ops.monitoring.history import SAMPLES

    if history.of not in SAMPLES:
        return view_table.as_frame(history.table)
    pd = view_table.load_pandas()
    import pyarrow as pa

    kinds: dict[Any, Any] = {
        pa.int64(): pd.Int64Dtype(), pa.float64(): pd.Float64Dtype(), pa.bool_(): pd.BooleanDtype(),
        pa.string(): pd.StringDtype(),
    }  # fmt: skip
    names = {"name": history.of.removesuffix("s")}
    made = history.rows.select(SAMPLES[history.of]).replace_schema_metadata()
    frame = made.rename_columns([names.get(n, n) for n in made.column_names]).to_pandas(types_mapper=kinds.get)
    frame.attrs = {"cluster": history.cluster, "vhost": history.vhost}
    return frame


def charts(history: History, width: int, height: int) -> list[str]:
    """Charts for a terminal of this size: the depths of the queues, if there are at most three; else nothing."""
    from attune_ops.monitoring.history_read import moment_of

    queues, times = list(history.groups()) if history.of == "queues" else [], history.readings.times
    if not 1 <= len(queues) <= CHARTS or len(times) < 2:
        return []
    begin, end, room = moment_of(times[0]), moment_of(times[-1]), height // len(queues) - BESIDE
    parts = min(terminal_chart.columns(width), len(times))  # with more, readings would be apart from each other
    lines = list[str]()
    for name, rows in queues:
        values = [p and p[1] for p in history.course(rows, "messages", parts)]
        lines += ["", *terminal_chart.chart(f"{visible(name)}: messages", values, begin, end, room)]
    return lines


def as_chart(history: History) -> Any:
    """A line for each of the deepest queues, with a break where nothing was read."""
    from attune_ops.monitoring.history import History

    assert isinstance(history, History)
    if history.of != "queues":
        raise ConfigError("there is a chart of queues only")
    most = {str(row["queue"]): row["most"] or 0 for row in history.table.records()}
    deepest = sorted(most, key=lambda queue: -float(str(most[queue])))[:LINES]
    return depth_chart(history.vhost, history.depths(deepest))


def depth_chart(vhost: str, depths: Iterable[Depth], colors: Mapping[str, str] | None = None) -> Any:
    """A line for each queue. JupyterLab draws it without the network. `colors` by queue, as #rrggbb."""
    try:
        import altair as alt
    except ImportError:
        raise ConfigError(f"a chart needs altair: {install('notebook')}") from None

    data = [
        {"time": time.isoformat(), "queue": visible(queue), "messages": messages} for time, queue, messages in depths
    ]

    class Chart(alt.Chart):
        """An altair chart that is drawn without scripts from the network."""

        def _repr_mimebundle_(self, *include: Any, **exclude: Any) -> dict[str, Any]:
            return {
                "text/plain": f"chart: {len(data)} samples",
                VEGA_LITE: self.to_dict() | {"$schema": SCHEMA},
            }

    top = max((float(str(d["messages"] or 0)) for d in data), default=0)
    whole = alt.Axis(tickMinStep=1)
    names = {d["queue"] for d in data}
    shown = {visible(q): c for q, c in (colors or {}).items() if visible(q) in names}
    scale = alt.Scale(domain=list(shown), range=list(shown.values())) if shown else alt.Undefined
    return (
        Chart(alt.Data(values=data), title=f"depth of the queues of virtual host {visible(vhost)}")
        .mark_line(point=True)
        .properties(width=WIDTH, height=HEIGHT)
        .encode(
            x=alt.X("time:T", title="time"),
            y=alt.Y("messages:Q", title="messages", scale=alt.Scale(domain=[0, max(top, 1)]), axis=whole),
            color=alt.Color("queue:N", title="queue", scale=scale),
            tooltip=["queue:N", "time:T", "messages:Q"],
        )
    )
