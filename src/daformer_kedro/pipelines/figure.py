"""The type of a figure in the signatures of nodes.

Kedro reads the type hints of all nodes at every start, and matplotlib takes half a
second to import: at run time a figure is any object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:
    Figure = object

__all__ = ["Figure"]
