"""Recording of PyTorch programs as they run: `watch`, and what a recorded step is made of."""
