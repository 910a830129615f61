"""Class means of a fixed encoder: the plainest method on pretrained features.

Zhou et al., "Revisiting Class-Incremental Learning with Pre-Trained Models:
Generalizability and Adaptivity are All You Need", IJCV 2024, call it SimpleCIL.
"""

from __future__ import annotations

from daformer_kedro.methods.classifiers import NearestMeans
from daformer_kedro.methods.closed_form import (
    Classifiers,
    ClosedFormMethod,
    Statistics,
    held_out_of,
)


class Prototypes(ClosedFormMethod):
    """The class whose mean feature has the largest cosine."""

    label = "class means of a fixed encoder"
    classifier_types = (NearestMeans,)

    def classifiers(self, statistics: Statistics) -> Classifiers:
        """Return the nearest class mean."""
        held_out = held_out_of(statistics)
        return Classifiers(
            final=NearestMeans(held_out.means),
            fitted=NearestMeans(held_out.fitted_means),
        )
