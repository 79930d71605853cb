"""Names of a training step's metrics; apart from the step because processes without torch use them on the board."""

from __future__ import annotations

METRICS = (
    "loss",
    "policy_loss",
    "policy_kl",
    "value_loss",
    "value_sign_accuracy",
    "reward_loss",
    "consistency_loss",
    "threat_loss",
    "focus_loss",
    "gradient_norm",
    "skipped_steps",  # their gradients were not finite
)
