"""The only code that touches `train/<m>`: see `attempt`. No torch."""
