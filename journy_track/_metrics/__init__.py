"""Metrics of a tracker or a relay, for OpenTelemetry and in Prometheus' format."""
