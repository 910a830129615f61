"""Evaluation of a run: metrics, published results, figures and the report."""
