"""Many ordinary runs of a project: grids, and studies that choose settings."""
