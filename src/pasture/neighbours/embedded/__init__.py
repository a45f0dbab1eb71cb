"""The services of AWS that a server brings along (`--with-aws`): moto, in a process of its own."""
