"""What a training step tells of itself, by name; here because the board has them in processes without torch."""

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
