"""Run log in MLflow: hooks that write it, and the client they write with."""
