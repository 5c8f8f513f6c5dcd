"""Errors that a user can act on, and the exit code each one ends the program with."""

import enum
import errno
import os
import sys
from collections.abc import Callable

INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended
TRAINING = ("paddle", "paddleseg", "visualdl", "matplotlib", "fontTools")  # modules that the extra `train` brings
DISK = ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO")  # what the disk, and not the program, is to blame for


class ExitCode(enum.IntEnum):
    """What the exit status of every command of this project means."""

    OK = 0
    FAILED = 1  # some pages failed, the others are done
    USAGE = 2  # bad arguments, configuration or input; nothing was written
    WEIGHTS = 3  # a network's weights are missing, damaged or of another network
    MEMORY = 4  # the machine ran out of memory
    DEVICE = 5  # the device asked for cannot be used


class DehwError(Exception):
    """A failure whose message says what went wrong, where, and what to do next."""

    exit_code = ExitCode.FAILED


class InputError(DehwError):
    """Arguments, files or arrays that cannot be worked on as they are."""

    exit_code = ExitCode.USAGE


class ConfigError(DehwError):
    """A configuration with an unknown key, a wrong type or a missing value."""

    exit_code = ExitCode.USAGE


class WeightsError(DehwError):
    """Weights that are missing, damaged, or do not belong to the network."""

    exit_code = ExitCode.WEIGHTS


class DeviceError(DehwError):
    """A device or engine that was asked for and that this installation cannot drive."""

    exit_code = ExitCode.DEVICE


class PageError(DehwError):
    """One page that cannot be read or written; the other pages go on."""

    exit_code = ExitCode.FAILED


def tell(text: str) -> None:
    """Tell the user something, on stderr."""
    print(f"dehw: {text}", file=sys.stderr)


def guarded(command: Callable[[], int], memory: str, stopped: str, tell: Callable[[str], None] = tell) -> int:
    """Run a command and return its exit code; an error that the user can act on ends in a line on stderr.

    memory: the remedy where memory runs out. stopped: what Ctrl-C leaves. tell: prints the line. Names of files whose
    bytes are not UTF-8 are printed with escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = int(command())
        sys.stdout.flush()
        return code
    except DehwError as error:
        tell(str(error))
        return int(error.exit_code)
    except ModuleNotFoundError as error:
        if error.name not in TRAINING:
            raise
        tell(f"this needs {error.name}, which is not installed; pip install 'dehw[train]'")
        return int(ExitCode.DEVICE)
    except BrokenPipeError:  # nobody reads on, as in `dehw doctor | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes when it ends
        return int(ExitCode.FAILED)
    except OSError as error:
        if errno.errorcode.get(error.errno or 0) not in DISK:
            raise
        tell(f"{error.filename or 'a file'} cannot be read or written: {error.strerror}; make room, or choose another")
        return int(ExitCode.FAILED)
    except MemoryError:
        tell(f"not enough memory; {memory}")
        return int(ExitCode.MEMORY)
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # after what the terminal shows of Ctrl-C, or a bar
        tell(f"stopped; {stopped}")
        return INTERRUPTED
