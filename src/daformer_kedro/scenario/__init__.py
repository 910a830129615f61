"""Sources of images, the order in which their classes arrive, and their tasks.

Nothing heavy is imported here: continuum, scikit-learn, pyarrow, pandas and
torchvision cost between 0.3 s and 12 s to import, so the functions that need one
import it themselves.
"""
