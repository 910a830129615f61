"""How good a run was: metrics, published results, figures and the report."""
