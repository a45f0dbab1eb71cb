"""Fakes that stand in for what is slow or needs rights. They keep the promises of the interfaces they implement."""
