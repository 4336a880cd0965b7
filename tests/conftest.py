"""Compiled programs run once or twice in a test: XLA compiles them fast rather than makes them fast."""

import os

# Read when JAX is first imported, which is after this file.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()
