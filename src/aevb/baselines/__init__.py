"""The plain models that a VAE is compared with."""
