"""The paper itself, run: its study cards, each answered in words, by formulas, by pictures and by
checks that run.
"""
