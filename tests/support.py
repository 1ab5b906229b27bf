"""What several test folders share."""

from pathlib import Path

from hydra import compose, initialize_config_dir

CONF = Path(__file__).resolve().parents[1] / "conf"


def compose_config(primary, *overrides):
    """Compose a primary config as the programs do."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(primary, overrides=list(overrides))
