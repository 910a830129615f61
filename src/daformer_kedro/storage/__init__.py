"""Atomic files, which are recognised by their checksum, and locks.

Knows neither Kedro nor MLflow.
"""
