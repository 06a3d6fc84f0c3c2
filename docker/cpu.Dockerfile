# Everything that runs without a GPU: the environment, `vt`, the tiny policy and its training.
#
#   docker build --file docker/cpu.Dockerfile --tag visionthink-gym:cpu .
#   docker run --rm --volume "$PWD/runs:/home/vt/runs" visionthink-gym:cpu demo --out runs/demo
#
# Only the build of the wheel was tried, neither the other steps nor the image: no Docker engine was there.
FROM python:3.11-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 vt && install --directory --owner vt /home/vt/runs

# torch's build for a CPU comes from its own index; the rest then finds it there.
COPY constraints.txt /tmp/
RUN pip install --constraint /tmp/constraints.txt --index-url https://download.pytorch.org/whl/cpu torch

WORKDIR /src
COPY . .
RUN pip install --constraint constraints.txt ".[cli,ocr,train]"

USER 1000
WORKDIR /home/vt
ENTRYPOINT ["vt"]
CMD ["--help"]
