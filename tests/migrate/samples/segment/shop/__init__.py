"""A shop that sells subscriptions."""
