"""DAFormer (Wang et al., IEEE TMM): the parameters as they are."""

from daformer_kedro.methods.method import Method


class DAFormerMethod(Method):
    """The method of this project."""

    label = "DAFormer-{edition}"
