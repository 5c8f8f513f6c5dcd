"""Puts configs/ into the package, where a wheel needs it; all else about the package is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copies configs/**.yml to dehw/configs; an editable install reads them where they are."""

    def run(self) -> None:
        super().run()
        for source in [] if self.editable_mode else sorted(Path("configs").rglob("*.yml")):
            target = Path(self.build_lib, "dehw", source)
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))


setup(cmdclass={"build_py": BuildWithConfigs})
