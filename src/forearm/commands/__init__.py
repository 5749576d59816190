"""The commands: one file a command, named as the command, with one frozen options dataclass and one function."""
