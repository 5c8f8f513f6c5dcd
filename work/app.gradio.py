"""The web page as an application of AI Studio or Hugging Face, which run files of this name; elsewhere `dehw serve`."""

from contextlib import suppress

from dehw.commands import serve

demo = serve.build(hosts=["*"], frames=serve.STUDIOS)

if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        serve.launch(demo)
