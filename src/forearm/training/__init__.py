"""Training: settings, the loop, runs and their checkpoints."""
