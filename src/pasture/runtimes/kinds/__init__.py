"""One family of managed runtimes per file. Each module has `family(cache: Path) -> RuntimeFamily`."""
