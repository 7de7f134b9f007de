"""Latent transforms r(z, T): the plugin under study."""
