"""A virtual SO-101: its servo bus on a pseudo-terminal and its cameras on sockets, in front of the simulator."""
