"""The sample pages that ship with the project: their text, their print and the handwriting on them."""
