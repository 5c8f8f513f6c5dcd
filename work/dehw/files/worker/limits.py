"""What a file may cost before it is refused. Each limit can be raised by an environment variable."""

import os
from dataclasses import dataclass

from dehw.errors import ConfigError


@dataclass(frozen=True)
class Limit:
    """A number above 0. variable: of the environment, in whose place `usual` stands."""

    variable: str
    usual: int

    @property
    def value(self) -> int:
        """The limit as it holds now. Raises ConfigError."""
        text = os.environ.get(self.variable, "").strip() or str(self.usual)
        if not (text.isdecimal() and len(text) < 10 and int(text)):
            raise ConfigError(f"{self.variable} is {text[:40]!r}; set it to a whole number above 0, or leave it out")
        return int(text)


# Seconds of the processor for reading a page: an A3 scan of 600 dpi takes 5. Windows does not count them: there, and
# for what sleeps, PATIENCE times as many of the clock.
SECONDS = Limit("DEHW_PAGE_SECONDS", 60)
PATIENCE = 3
WRITING = 3  # times as long for a page that is written: it is drawn up to three times, to see whether it is right
SAVING = 0.1  # of that for each page of a document that is put together
# Megabytes of address space. An A3 scan of 600 dpi, 209 MB of pixels, takes 1,900.
MEMORY = Limit("DEHW_PAGE_MEMORY", 3072)
PAGES = Limit("DEHW_MAX_PAGES", 10_000)  # of a document: hours of work, and more than any scanner's day
LOST = 5  # pages of a document that end the worker, before the others are not tried: each may take all its seconds
