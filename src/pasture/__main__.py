"""`python -m pasture` is `pasture`."""

from pasture.cli.main import main

main(prog_name="pasture")
