"""The parts of ``benchmarks/gpu.py``: a check of a GPU, and a run that stops in time.

They need PyTorch and the package's own library, neither Kedro nor MLflow.
"""
