"""Policy that turns monitoring findings into a training run.

Training itself belongs to holdfast.training.
"""
