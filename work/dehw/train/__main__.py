"""`python -m dehw.train seg|mistakes|erase ARGUMENTS`: a step of the chain in a process of its own."""

import sys

from dehw.train import find_mistakes, train_generator, train_segmenter

if __name__ == "__main__":
    steps = {"seg": train_segmenter, "mistakes": find_mistakes, "erase": train_generator}
    sys.exit(steps[sys.argv[1]](sys.argv[2:]))
