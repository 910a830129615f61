"""Files that are whole or not there, that are known by their content, and locks.

Knows neither Kedro nor MLflow.
"""
