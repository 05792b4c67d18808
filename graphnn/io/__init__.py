"""Files of graphs and arrays."""
