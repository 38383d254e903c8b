"""Signed webhooks: facts brought to whoever has an HTTP endpoint and no NATS."""
