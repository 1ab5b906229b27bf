"""Messages that a training does not print."""

from __future__ import annotations

import logging
import warnings


def quiet_lightning() -> None:
    """Silence Lightning's tips at each start, and warnings that a user of this package can do nothing about."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"lightning\.pytorch\.utilities\._pytree")  # its use of an old torch name
    warnings.filterwarnings("ignore", message="The number of training batches")  # fewer than log_every_n_steps
    warnings.filterwarnings("ignore", message="Found .* in eval mode at the start")  # frozen layers, see `freeze`
