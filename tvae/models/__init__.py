"""Models: the transformation-aware VAE and the autoencoders that it is compared with."""
