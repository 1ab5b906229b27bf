"""What every tower is."""

from __future__ import annotations

from torch import Tensor, nn

from anatomy_clip.core.types import Features


class Tower(nn.Module):
    """From images or token ids to `Features`.

    Attributes:
        width: W, of the pooled features, before any projection.
        projections: what the names of the tensors of the joint projection begin with; of image towers.
        map_widths: C of each of `Features.maps`; none where the tower gives no maps.
    """

    width: int
    projections: tuple[str, ...] = ()
    map_widths: tuple[int, ...] = ()

    def forward(self, inputs: Tensor) -> Features:
        """Embed (B, 3, H, W) normalised images, or (B, L) token ids."""
        raise NotImplementedError
