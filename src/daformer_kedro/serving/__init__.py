"""A trained model outside the pipelines: classify images, no learning."""

from daformer_kedro.serving.classifier import Classifier

__all__ = ["Classifier"]
