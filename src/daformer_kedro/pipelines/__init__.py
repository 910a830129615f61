"""Kedro pipelines, one package per stage; nodes hand catalog data to the library."""
