"""Kedro pipelines, one package a stage; nodes hand catalog data to the library."""
