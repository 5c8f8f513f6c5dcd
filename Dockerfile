# The web page, the interface for programs and the command line, on a CPU, without Paddle.
#   docker build -t dehw .
#   docker run --rm -p 127.0.0.1:7860:7860 dehw
#   docker run --rm -v "$PWD:/pages" -u "$(id -u):$(id -g)" dehw erase /pages/photo.jpg
FROM python:3.12-slim
COPY . /src
RUN pip install --no-cache-dir "/src[serve,heic]"
RUN useradd --create-home dehw
USER dehw
EXPOSE 7860
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/')"]
ENTRYPOINT ["dehw"]
CMD ["serve", "--host", "0.0.0.0"]
