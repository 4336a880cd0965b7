"""The scikit-learn estimators: `VAE`, `VAEImputer` and `VAEOutlierDetector`."""
