"""What the numbers are worth: bounds with their errors, diagnostics, baselines and the verdict."""
