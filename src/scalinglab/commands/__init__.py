"""The commands, one a file; each has `run(arguments) -> exit status`, and may print."""
