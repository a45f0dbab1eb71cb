"""Push sources: services that hand functions events by themselves, all through one door (`accepting`)."""
