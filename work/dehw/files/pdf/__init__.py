"""PDFs: pages drawn as pictures, and written back with as little changed as possible."""
