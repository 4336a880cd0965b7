"""The laws of parts of a model, for the tests of your own; see `check_likelihood`."""
