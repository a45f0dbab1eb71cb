"""Brokers beside AWS: where they are, who Pasture is to them, and how what they hold looks as events."""
