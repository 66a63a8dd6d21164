# Python, git and deploystep, for `docker run` and as the image of a CircleCI job.
FROM python:3.14-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.14-slim
# The image's own release says which versions of git and ssh there are.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 3434 circleci \
    && git config --system --add safe.directory /home/circleci/project
# The wheels are of this commit, and there is no index: versions are given.
# hadolint ignore=DL3013
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels deploystep
USER 3434
WORKDIR /home/circleci/project
ENTRYPOINT ["deploystep"]
CMD ["--help"]
