"""Errors that a user can act on, and the exit code each one ends the program with."""

import enum


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
