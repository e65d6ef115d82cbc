# Watches cameras: docker compose up -d (see compose.yaml and docs/live.md).
FROM python:3.13-slim

COPY setup.cfg pyproject.toml README.md LICENSE /opt/source/
COPY violence_detection /opt/source/violence_detection
RUN pip install --no-cache-dir "/opt/source[watch,openvino]" && rm -r /opt/source

RUN useradd --uid 10001 --home-dir /home/watch --create-home watch \
    && install -d -o watch -g watch -m 0700 /data
USER 10001:10001
WORKDIR /watch
VOLUME /data

# /run/secrets has a file for each variable of the cameras file.
ENV CREDENTIALS_DIRECTORY=/run/secrets \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2

# Unhealthy where no watch answers. A camera that is down is told by the watch itself.
HEALTHCHECK --interval=60s --timeout=20s --start-period=300s --retries=3 \
    CMD violence-detection watch status /watch/cameras.yaml --json > /dev/null || test $? -eq 3

STOPSIGNAL SIGTERM
ENTRYPOINT ["violence-detection"]
CMD ["watch", "run", "/watch/cameras.yaml"]
