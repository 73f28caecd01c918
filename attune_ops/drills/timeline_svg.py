"""A timeline as SVG: ready messages and consumers of each queue over time, with each fault and undo."""

from __future__ import annotations

from html import escape

from attune_ops.drills.journal import VERDICTS, Timeline
from attune_ops.render.text import visible

WIDTH, HEIGHT, CONSUMERS = 760, 220, 60
LEFT, TOP, GAP, RIGHT = 50, 34, 26, 20
COLORS = ("#0969da", "#bf3989", "#1a7f37", "#9a6700", "#8250df", "#57606a")
FAULTS = {"fault": "#cf222e", "undo": "#1a7f37"}

Curve = list[tuple[float, int | None]]


def svg(timeline: Timeline) -> str:
    """A self-contained SVG for light and dark backgrounds, also of a drill that still runs; every text is escaped."""
    end = max([timeline.duration_ms, *(s.at_ms for s in timeline.samples), 1.0])
    # A journal file may have been edited: a sample can have fewer values than the journal has queues.
    depth = [[(s.at_ms, _at(s.messages, i)) for s in timeline.samples] for i in range(len(timeline.queues))]
    consumers = [[(s.at_ms, _at(s.consumers, i)) for s in timeline.samples] for i in range(len(timeline.queues))]
    shown = [i for i, line in enumerate(depth) if any(v for _, v in line) or any(v for _, v in consumers[i])]
    below = TOP + HEIGHT + GAP
    height = below + CONSUMERS + 24 + 18 * (len(shown) + len(_marks(timeline)) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{LEFT + WIDTH + RIGHT}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#6e7781">',
        f"<title>{_escaped(f'Drill {timeline.drill}: {_verdict(timeline)}')}</title>",
        f'<text x="{LEFT}" y="18" font-size="14">{_escaped(_title(timeline))}</text>',
        *_panel("ready messages", TOP, HEIGHT, [depth[i] for i in shown], end),
        *_panel("consumers", below, CONSUMERS, [consumers[i] for i in shown], end),
        *_faults(timeline, end, below + CONSUMERS),
    ]
    y = below + CONSUMERS + 40
    for n, i in enumerate(shown):
        parts.append(_key(y, COLORS[n % len(COLORS)], timeline.queues[i]))
        y += 18
    for n, (at, kind, text) in enumerate(_marks(timeline), 1):
        parts.append(_key(y, FAULTS[kind], f"{n}  {at / 1000:.2f} s  {text}"))
        y += 18
    return "\n".join([*parts, "</svg>"])


def _at(values: tuple[int | None, ...], i: int) -> int | None:
    """The value of the ith queue, None where the sample has none."""
    return values[i] if i < len(values) else None


def _title(timeline: Timeline) -> str:
    return f"{timeline.drill}{f' with {timeline.remedy}' if timeline.remedy else ''}: {_verdict(timeline)}"


def _verdict(timeline: Timeline) -> str:
    return VERDICTS[timeline.verdict] if timeline.verdict else "running"


def _marks(timeline: Timeline) -> list[tuple[float, str, str]]:
    return [(e.at_ms, e.kind, e.text) for e in timeline.steps if e.kind in FAULTS]


def _panel(title: str, top: float, height: float, lines: list[Curve], end: float) -> list[str]:
    """A frame with one stepped line a queue; the line is interrupted where the queue is missing."""
    most = max([v for line in lines for _, v in line if v is not None], default=0) or 1
    parts = [
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{height}" fill="none" stroke="#8b949e80"/>',
        f'<text x="{LEFT + 4}" y="{top + 14}">{title}</text>',
        f'<text x="{LEFT - 4}" y="{top + 10}" text-anchor="end">{most}</text>',
        f'<text x="{LEFT - 4}" y="{top + height}" text-anchor="end">0</text>',
    ]
    for n, line in enumerate(lines):
        path, pen, before = [], "M", 0.0
        for at, value in line:
            if value is None:
                if pen == "L":
                    path.append(f"L{_x(at, end):.1f},{before:.1f}")
                pen = "M"
                continue
            y = top + height - height * value / most
            path += [f"L{_x(at, end):.1f},{before:.1f}"] if pen == "L" else []
            path.append(f"{pen}{_x(at, end):.1f},{y:.1f}")
            pen, before = "L", y
        if pen == "L":
            path.append(f"L{_x(end, end):.1f},{before:.1f}")
        color = COLORS[n % len(COLORS)]
        parts.append(f'<path d="{" ".join(path)}" fill="none" stroke="{color}" stroke-width="1.5"/>' if path else "")
    return parts


def _faults(timeline: Timeline, end: float, bottom: float) -> list[str]:
    parts = []
    for n, (at, kind, text) in enumerate(_marks(timeline), 1):
        x = _x(at, end)
        parts.append(
            f'<g stroke="{FAULTS[kind]}"><title>{_escaped(text)}</title>'
            f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke-dasharray="4 3"/></g>'
            f'<text x="{x:.1f}" y="{TOP - 4}" text-anchor="middle" fill="{FAULTS[kind]}">{n}</text>'
        )
    seconds = f'<text x="{LEFT + WIDTH}" y="{bottom + 16}" text-anchor="end">{end / 1000:.1f} s</text>'
    return [*parts, f'<text x="{LEFT}" y="{bottom + 16}">0 s</text>{seconds}']


def _x(at: float, end: float) -> float:
    return LEFT + WIDTH * min(at, end) / end


def _key(y: float, color: str, text: str) -> str:
    cut = text if len(text) <= 100 else text[:99] + "…"
    return (
        f'<rect x="{LEFT}" y="{y - 9}" width="14" height="10" fill="{color}"/>'
        f'<text x="{LEFT + 20}" y="{y}">{_escaped(cut)}</text>'
    )


def _escaped(text: str) -> str:
    return escape(visible(text))
