"""Forearm's worlds for LeRobot: ``lerobot-eval --env.type=forearm``. LeRobot imports this by its name."""

from lerobot_env_forearm.config import ForearmEnv

__all__ = ["ForearmEnv"]
