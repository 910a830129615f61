"""A local page to try a model: what it knows, and what it says of your images.

``app`` serves the page, ``knowledge`` collects what it says of the model, ``answer``
what it says of an image, and ``pictures`` draws. ``guard``, ``connections`` and
``uploads`` limit what strangers can do. The server is Starlette on Uvicorn, which
MLflow brings along; page, styles and script are files of this folder, so that nothing
is loaded from elsewhere.
"""

from daformer_kedro.serving.demo.app import LOCAL_HOSTS, demo_app
from daformer_kedro.serving.demo.connections import server_config

__all__ = ["LOCAL_HOSTS", "demo_app", "server_config"]
