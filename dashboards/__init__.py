"""Grafana dashboards as code: `python -m dashboards` writes `dashboards/json`, `--check` says whether it is current."""
