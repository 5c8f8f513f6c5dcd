"""How much the terms of EraseNet's loss count. No Paddle here: work/pretrain trains by them in PyTorch."""

# of the handwriting and of the rest, in the quarter, half and coarse image
MULTISCALE_WEIGHTS = ((5.0, 0.8), (6.0, 1.0), (8.0, 0.8))
