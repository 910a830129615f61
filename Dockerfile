# syntax=docker/dockerfile:1
# docker build --tag daformer .                          for CPUs
# docker build --tag daformer --build-arg DEVICE=cuda .  for NVIDIA's GPUs
# How to use it: docs/deployment.md
# A tag may get another image. A digest, once looked up in the registry, pins one:
# --build-arg PYTHON=3.11.14-slim-bookworm@sha256:…
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
ARG DEVICE=cpu
ARG UV_VERSION=0.13.9
WORKDIR /project
# Packages first: they stay the same while the code changes.
COPY docker/install.sh /tmp/install.sh
COPY pyproject.toml requirements.lock requirements-dev.lock ./
RUN --mount=type=cache,target=/root/.cache sh /tmp/install.sh dependencies
COPY LICENSE README.md .telemetry ./
COPY conf conf
COPY src src
RUN sh /tmp/install.sh project

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="daformer_kedro" \
      org.opencontainers.image.description="Class-incremental learning with DAFormer" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY docker/install.sh /tmp/install.sh
RUN sh /tmp/install.sh user && rm /tmp/install.sh
COPY --from=build /opt/venv /opt/venv
COPY --from=build /project /project
COPY docker/make_buckets.py /opt/make_buckets.py
# Results go to the first volume, the run log and its files to the second, unless
# MLFLOW_TRACKING_URI names a server. Only these and /tmp are written to.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GIT_PYTHON_REFRESH=quiet \
    USER=daformer \
    MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/tmp/cache \
    MLFLOW_TRACKING_URI=sqlite:////project/mlartifacts/mlflow.db
WORKDIR /project
VOLUME ["/project/data", "/project/mlartifacts"]
USER daformer
CMD ["kedro", "run"]
