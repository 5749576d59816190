"""From recordings to (before, action, after): storage, splits, combining, batches."""
