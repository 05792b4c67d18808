"""Where boxes and edges go: Graphviz, or the arrangement in layers that needs no engine."""
