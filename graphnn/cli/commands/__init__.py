"""The commands: one module each, which has the command's name and is loaded when the command is first used."""
