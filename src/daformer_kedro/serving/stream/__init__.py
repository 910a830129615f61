"""Streams: images of a model in use, by day, from folders, tables and request logs."""

from daformer_kedro.serving.stream.days import Stream
from daformer_kedro.serving.stream.images import stream_of_images
from daformer_kedro.serving.stream.observed import (
    labels_not_learnt,
    observations_of,
    observed_days,
)
from daformer_kedro.serving.stream.tables import is_table, stream_of_table

__all__ = [
    "Stream",
    "is_table",
    "labels_not_learnt",
    "observations_of",
    "observed_days",
    "stream_of_images",
    "stream_of_table",
]
