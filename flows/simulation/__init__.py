"""Holdfast as a whole, simulated: weeks in minutes, with the real parts, real data, and a fault planted among them."""
