"""The parts of benchmarks/load/ that need no load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import ROOT
from support.load_scripts import load_script


def test_report_draws_the_history(tmp_path: Path) -> None:
    report = load_script("report")
    history = tmp_path / "history.csv"
    history.write_text(
        "Timestamp,Name,Requests/s,50%,95%,99%\n"
        "100,photo,1,1,1,1\n100,Aggregated,10,20,30,40\n"
        "101,Aggregated,20,N/A,N/A,N/A\n105,Aggregated,30,25,35,80\n"
    )
    points = report.read_history(history)
    assert [(point["t"], point["rps"], point["p99"]) for point in points] == [
        (100, 10, 40), (105, 30, 80),
    ]  # fmt: skip
    names = ["Name", "Request Count", "Failure Count", "Requests/s", "50%", "95%", "99%", "100%"]
    page = tmp_path / "report.html"
    report.write_report(
        page, title="<steady>", history=points, memory=[(0, 100.0), (5, 110.0)],
        figures={"p99 ms": 80}, rows=[dict.fromkeys(names, "photo")],
    )  # fmt: skip
    text = page.read_text()
    assert text.count("<svg") == 3
    assert text.count("<polyline") == 5
    assert "&lt;steady&gt;" in text
    # The highest point of the latency chart is p99 of 80 ms: it reaches 1/1.1 of the height.
    assert f"{240 - 24 - (240 - 24 - 30) / 1.1:.1f}" in text


def test_default_photo_is_there() -> None:
    pytest.importorskip("psutil")
    assert load_script("service").SAMPLE.is_file()


def test_page_says_which_promise_is_measured_with_which_command() -> None:
    page = (ROOT / "docs/service.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|") and "`benchmarks/" in line]
    commands = load_script("promises").PROMISES.values()
    assert [row.split("|")[2].strip(" `") for row in rows] == [*commands]
    for command in commands:
        script, *flags = command.partition(" -- ")[0].split()
        text = (ROOT / script).read_text(encoding="utf-8")
        assert all(f'"{flag}"' in text for flag in flags if flag.startswith("--")), command


def test_dashboard_asks_for_metrics_that_exist() -> None:
    pytest.importorskip("prometheus_client")
    import re

    from mien.serve.admission import AdmissionQueue
    from mien.serve.batcher import Run
    from mien.serve.metrics import Metrics

    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/mien.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"mien_[a-z_]+", target["expr"])
    }
    metrics = Metrics(AdmissionQueue(1, 1))
    metrics.requests.labels("a", "200").inc()
    metrics.latency_s.labels("a").observe(1)
    metrics.pictures.labels("faces").inc()
    metrics.faces.labels("a").inc()
    metrics.rejections.labels("rate").inc()
    metrics.detector_s.labels("a").observe(1)
    metrics.observe_run("a", Run(1, 0.1, [0.0]))
    told = set(re.findall(r"^(mien_[a-z_]+)", metrics.text()[0].decode(), re.MULTILINE))
    assert asked <= told


def test_deployment_is_not_root_and_not_open() -> None:
    yaml = pytest.importorskip("yaml")
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    assert "USER 10001" in dockerfile
    assert 'CMD ["python", "-m", "mien.serve.health"]' in dockerfile  # which follows MIEN_PORT
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_example_settings_are_read() -> None:
    pytest.importorskip("yaml")
    from mien.serve.config import ServeConfig

    assert ServeConfig.load(ROOT / "examples/service/serve.yaml", {}).rate == 20
