"""What metrics show of a tracker, or of a relay: to OpenTelemetry, and as Prometheus reads it."""
