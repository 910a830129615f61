"""Processes that train one model together: shards of a batch, gathering."""
