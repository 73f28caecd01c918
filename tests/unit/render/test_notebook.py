"""In a real notebook kernel every value is one output that holds HTML and text."""

from __future__ import annotations

from typing import Any

SETUP = """
from datetime import UTC, datetime
from attune_ops.doctor.findings import Finding, Severity, Subject
from attune_ops.model.table import Column, Table
from attune_ops.model.topologies import load
now = datetime(2026, 1, 16, tzinfo=UTC)
"""
VALUES = {
    "Table('queues', (Column('name'),), (('<b>q</b>',),), now)": "q",
    "Finding('A', 'c', 'g', Severity.ERROR, Subject('queue', 'q'), 't', 'it <b>broke</b>', {}, '', ())": "broke",
    "load('attune-2026-01')": "attune.executions",
}


def test_one_output_with_html_and_text() -> None:
    import nbclient  # takes seconds: not in each process that collects the tests
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in (SETUP, *VALUES)])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    for cell, words in zip(notebook.cells[1:], VALUES.values(), strict=True):
        outputs: list[Any] = cell.outputs
        assert [o.output_type for o in outputs] == ["execute_result"]
        assert set(outputs[0].data) == {"text/plain", "text/html"}
        assert all(words in form for form in outputs[0].data.values())
        assert "<b>" not in outputs[0].data["text/html"]
