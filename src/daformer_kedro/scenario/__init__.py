"""Where images come from, in which order their classes arrive, and in which task.

Nothing heavy is imported here: continuum, scikit-learn, pyarrow, pandas and
torchvision cost between 0.3 s and 12 s to import, so the functions that need one
import it themselves.
"""
