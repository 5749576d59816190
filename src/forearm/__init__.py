"""Forearm gives a low-cost robot arm foresight: it learns what the cameras and joints show after an action."""

__version__ = "0.1.0"
