"""What a terminal shows: tables, and where a debugger is."""
