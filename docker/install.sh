#!/bin/sh
# The steps of the image, for the Dockerfile. They run on any Debian with Python 3.11 and
# its venv module.
#
#   install.sh dependencies   a virtual environment with the pinned packages
#   install.sh project        the project in that environment
#   install.sh user           who runs it, and the folders that it may write to
#
# DEVICE       cpu or cuda
# UV_VERSION   version of uv, which installs
set -eu

environment=/opt/venv
project=/project
uv=/tmp/uv/bin/uv

dependencies() {
  # The locks pin the pair of torch and torchvision of the ordinary index, which on Linux
  # is the one for CUDA. PyTorch's own index has the same versions for CPUs, without
  # NVIDIA's libraries; so the locks serve as constraints here and not as a list.
  case ${DEVICE:-} in
    cpu) set -- --torch-backend cpu ;;
    cuda) set -- ;;
    *) echo "DEVICE = '${DEVICE:-}' is not possible: cpu or cuda" >&2; exit 2 ;;
  esac
  python3 -m venv /tmp/uv
  /tmp/uv/bin/pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
  python3 -m venv "$environment"
  "$uv" pip install --quiet --python "$environment" --compile-bytecode --link-mode copy \
    --constraint requirements.lock --constraint requirements-dev.lock \
    --requirement pyproject.toml --extra heif --extra s3 --extra server "$@"
}

project() {
  "$uv" pip install --quiet --python "$environment" --no-deps --no-build-isolation \
    --editable .
  "$environment/bin/python" -m compileall -q src
}

user() {
  groupadd --gid 1000 daformer
  useradd --uid 1000 --gid 1000 --create-home --shell /usr/sbin/nologin daformer
  install --directory --owner daformer --group daformer \
    "$project/data" "$project/mlartifacts"
}

case ${1:-} in
  dependencies | project | user) "$1" ;;
  *) echo "install.sh dependencies, project or user" >&2; exit 2 ;;
esac
