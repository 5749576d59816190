"""Policies judged: tried in the dream and, where there is one, in the simulator beside it."""
