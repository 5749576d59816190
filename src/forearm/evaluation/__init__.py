"""Numbers for predictions: metrics, baselines, counterfactuals. Arrays in, numbers out."""
