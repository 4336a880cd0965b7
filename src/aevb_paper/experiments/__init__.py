"""Section 5 and the appendices, run again: the data, networks and algorithms, and a function for
each figure.
"""
