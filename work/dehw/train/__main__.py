"""`python -m dehw.train seg|erase ARGUMENTS`: one network's training in a process of its own."""

import sys

from dehw.train import train_generator, train_segmenter

if __name__ == "__main__":
    sys.exit({"seg": train_segmenter, "erase": train_generator}[sys.argv[1]](sys.argv[2:]))
