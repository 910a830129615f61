"""The report, opened as a file."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser


def test_the_report_loads_with_no_request_to_any_host(page: Any, finished: Any) -> None:
    errors: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto((finished.folder("08_reporting") / "report.html").as_uri())
    assert page.hosts == {""}  # the file itself and data addresses
    assert errors == []
    widths = page.eval_on_selector_all("img", "all => all.map(i => i.naturalWidth)")
    assert len(widths) == 8
    assert min(widths) > 100
    assert page.inner_text("h1") == "test_S_order-identity_seed0"
    assert page.inner_text("pre") == "kedro run --env test"
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    assert page.evaluate(overflow) <= 0
