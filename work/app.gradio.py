"""The web page as an application of AI Studio, which runs files of this name; elsewhere it is `dehw serve`."""

from dehw.commands import serve

demo = serve.build()

if __name__ == "__main__":
    serve.launch(demo)
