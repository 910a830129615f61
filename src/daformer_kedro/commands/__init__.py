"""Programs besides ``kedro``: predict, demo, sweep, clean-runs."""
