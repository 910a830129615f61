"""Programs beside ``kedro``: predict, demo, sweep, clean-runs."""
