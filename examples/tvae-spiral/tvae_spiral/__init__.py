"""A form, a divergence and a family for T_VAE."""
