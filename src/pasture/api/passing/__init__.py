"""Calls of services that are not Pasture's own, passed on to the neighbours that serve them."""
