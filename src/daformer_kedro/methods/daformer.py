"""DAFormer (Wang et al., IEEE TMM): the parameters as they are."""

from daformer_kedro.methods.method import Method

DAFORMER = Method(label="DAFormer-{edition}")
