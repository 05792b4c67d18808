"""What lies here and is no test: modules that import engines which may not be installed."""

collect_ignore = ["engines"]
