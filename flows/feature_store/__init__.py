"""Feature snapshots, their registration and materialisation, and the proof of parity."""
