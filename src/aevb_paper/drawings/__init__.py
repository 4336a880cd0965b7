"""The pictures of the study cards: functions that return a `matplotlib.figure.Figure`."""
