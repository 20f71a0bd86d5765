# A server without PyTorch:
#   docker build -t sentilora .
#   docker run -p 8000:8000 -v ./bundle:/bundle:ro -e SENTILORA_API_KEYS=... sentilora
FROM python:3.11-slim AS build
COPY . /src
RUN pip wheel --no-cache-dir --wheel-dir /wheels "/src[serve]"

FROM python:3.11-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels "sentilora[serve]" \
    && useradd --uid 10001 --create-home sentilora
USER sentilora
EXPOSE 8000
# Failing while it drains is right: nothing new should come.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=2)"]
ENTRYPOINT ["sentilora", "serve", "--host", "0.0.0.0"]
CMD ["/bundle"]
