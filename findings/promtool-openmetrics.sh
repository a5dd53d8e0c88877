#!/usr/bin/env bash
# promtool check metrics: refuses OpenMetrics text that Prometheus scrapes, and misses the help of every counter.
#
# Guess before the run: Prometheus asks for OpenMetrics first when it scrapes, so its own linter reads that
# format, and a registry that passes in one format passes in the other.
# Seen: the linter reads the old text format alone. In OpenMetrics the help of a counter belongs to `requests` and the
# sample is `requests_total`, so the linter says "requests_total no help text" (exit code 3); an `info` metric,
# `unknown metric type "info"`, ends it (exit code 1). The same registry in the old format passes.
# What it means: an exporter that is checked with promtool has to be checked in the old format, which is not
# what Prometheus gets from it.
#
# Needs: Debian's prometheus (promtool), python3 with venv, PyPI. No root.
set -euo pipefail
command -v promtool >/dev/null || apt-get install --yes --no-install-recommends prometheus >/dev/null
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check prometheus-client==0.26.0
promtool --version 2>&1 | head -n 1
cat > check.py <<'PY'
import subprocess, sys
from prometheus_client import CollectorRegistry, Counter, Info, disable_created_metrics, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

disable_created_metrics()

def lint(what, text):
    run = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=30)
    said = run.stderr.decode().strip()
    print(f"{what}: exit code {run.returncode} {said}")
    return run.returncode, said

seen = []
for with_info in (False, True):
    registry = CollectorRegistry()
    Counter("requests", "Requests that were answered.", registry=registry).inc()
    if with_info:
        Info("build", "Version of the program.", registry=registry).info({"version": "1"})
    suffix = ", with an info metric" if with_info else ""
    openmetrics = generate_openmetrics(registry)
    assert list(text_string_to_metric_families(openmetrics.decode())), "valid OpenMetrics"
    seen.append(lint("OpenMetrics" + suffix, openmetrics))
    seen.append(lint("old text format" + suffix, generate_latest(registry)))
expected = [(3, "requests_total no help text"), (0, ""), (1, 'unknown metric type "info"'), (0, "")]
if any(code != want or words not in said for (code, said), (want, words) in zip(seen, expected)):
    sys.exit("changed: the linter says something else")
PY
timeout 60 venv/bin/python check.py
