"""What several test folders share."""

import yaml
from hydra import compose, initialize_config_dir

from anatomy_clip.cli.configs import config_folder

CONF = config_folder()
PMC_M, PMC_MS = (
    tuple(yaml.safe_load((CONF / f"prompts/{name}.yaml").read_text())["templates"])
    for name in ("organs", "organs_stations")
)
TABLE1_ORGAN, TABLE1_STATION = PMC_M[0], PMC_MS[0]  # of the paper


def compose_config(primary, *overrides):
    """Compose a primary config as the programs do."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(primary, overrides=list(overrides))
