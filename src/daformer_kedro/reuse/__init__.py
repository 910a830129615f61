"""Reuse of results: what is valid, what runs again, and how an attempt resumes."""
