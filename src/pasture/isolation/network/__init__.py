"""The way out of sandboxes: addresses behind the server's own, and a rule set for what they may reach."""
