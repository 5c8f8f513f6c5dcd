"""Where training data comes from: page pairs, crops, augmentation, and made-up pages."""
