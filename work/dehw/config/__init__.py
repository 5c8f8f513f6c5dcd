"""Configurations: the strict reader of YAML files, and the schema of pipelines."""

from dehw.config.pipeline import PIPELINES, SIDES, Erase, Mask, NetworkConfig, Pipeline, Segment, load_pipeline
from dehw.config.reader import CONFIGS, STRICT, Folders, Fraction, find_config, load, nearest, read, validate

__all__ = [
    "CONFIGS",
    "PIPELINES",
    "SIDES",
    "STRICT",
    "Erase",
    "Folders",
    "Fraction",
    "Mask",
    "NetworkConfig",
    "Pipeline",
    "Segment",
    "find_config",
    "load",
    "load_pipeline",
    "nearest",
    "read",
    "validate",
]
