"""Monitoring: a stream of images by day, beside images that the model was tested on."""
