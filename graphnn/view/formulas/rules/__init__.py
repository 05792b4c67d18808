"""How each operation is written, under its class; and what several are together, under the kind of their scope."""
