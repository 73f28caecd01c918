"""The ranges of the Monitoring Plugins, by the examples of their guidelines."""

from __future__ import annotations

import pytest

from attune_ops.model.errors import ConfigError
from attune_ops.monitoring.thresholds import range_of, ranges


@pytest.mark.parametrize(
    ("text", "alerts", "quiet"),
    [
        ("10", (-1, 10.5, 11), (0, 5, 10)),
        ("10:", (9, -3), (10, 11)),
        ("~:10", (11,), (-100, 0, 10)),
        ("10:20", (9, 21), (10, 15, 20)),
        ("@10:20", (10, 15, 20), (9, 21)),
        ("1.5", (1.6,), (1.5,)),
    ],
)
def test_the_examples_of_the_guidelines(text: str, alerts: tuple[float, ...], quiet: tuple[float, ...]) -> None:
    made = range_of("messages", text)
    assert [v for v in (*alerts, *quiet) if made.alerts(v)] == list(alerts)


def test_a_plain_number_of_consumers_is_too_few() -> None:
    made = range_of("consumers", "1")
    assert [v for v in (0, 1, 2) if made.alerts(v)] == [0, 1]
    assert range_of("consumers", "1").text == range_of("messages", made.text).text, "the performance data say the same"
    assert [v for v in (0, 1, 2) if range_of("messages", made.text).alerts(v)] == [0, 1]


@pytest.mark.parametrize("said", ["messages", "messages=", "messages=x", "messages=20:10", "messages=:", "nothing=1"])
def test_what_is_no_threshold_is_refused(said: str) -> None:
    with pytest.raises(ConfigError):
        ranges((said,), ("messages", "consumers"))
