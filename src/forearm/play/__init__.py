"""The browser app: play in what a world model imagines."""
