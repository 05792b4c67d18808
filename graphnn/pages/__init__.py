"""Pages for a browser: a run replayed, and a training while it goes on."""
