"""Application Auto Scaling of provisioned concurrency: what is registered, and what follows from it in time."""
