"""New graphs from old ones, and functions of nodes made again for rows of arrays."""
