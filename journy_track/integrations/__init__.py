"""Integrations: one module per framework, each the only one that imports its framework."""
