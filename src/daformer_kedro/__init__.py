"""Class-incremental learning with dual-attention transformers, as a Kedro project."""

__version__ = "0.1.0"
