# Training on NVIDIA GPUs through OpenRLHF.
#
#   docker build --file docker/openrlhf.Dockerfile --tag visionthink-gym:openrlhf .
#   docker run --rm --gpus all --shm-size 64g --volume "$PWD/runs:/home/vt/runs" \
#       --volume "$HOME/.cache/huggingface:/home/vt/.cache/huggingface" \
#       visionthink-gym:openrlhf train qwen2.5-vl-3b --out runs/3b
#
# Never built and never run: no Docker engine and no GPU were there. Its order is the one that
# flash-attn needs: torch, then flash-attn against it, then the extra, all of one set of versions.
# The development image has nvcc, which flash-attn's build and DeepSpeed's optimiser need.
FROM nvidia/cuda:13.0.1-devel-ubuntu24.04

ENV DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git ninja-build python3 python3-dev python3-venv \
    && rm --recursive --force /var/lib/apt/lists/*
RUN userdel --remove ubuntu && useradd --create-home --uid 1000 vt \
    && install --directory --owner vt /opt/vt /home/vt/runs

USER 1000
ENV PATH=/opt/vt/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
COPY constraints-openrlhf-gpu.txt /tmp/
RUN python3 -m venv /opt/vt \
    && pip install --constraint /tmp/constraints-openrlhf-gpu.txt \
        torch torchvision packaging ninja wheel setuptools

# Which GPUs it is compiled for (8.0 is an A100, 9.0 an H100), and how many compilers run at once:
# each takes several gigabytes.
ARG TORCH_CUDA_ARCH_LIST="8.0;9.0"
ARG MAX_JOBS=4
RUN pip install --constraint /tmp/constraints-openrlhf-gpu.txt --no-build-isolation flash-attn

WORKDIR /src
COPY --chown=1000 . .
RUN pip install --constraint constraints-openrlhf-gpu.txt ".[openrlhf,cli]"

WORKDIR /home/vt
ENTRYPOINT ["vt"]
CMD ["--help"]
