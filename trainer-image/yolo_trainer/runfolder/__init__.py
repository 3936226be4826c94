"""The only code that touches `train/<m>`. No torch."""
