"""What measures this project and draws its pictures: `python -m tools.NAME` in the repository's root."""
