"""Image augmentation: the paper's list and CLIP's own, in a random combination for each image."""

from __future__ import annotations

import inspect
import os
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from anatomy_clip.core.names import did_you_mean
from anatomy_clip.data.warp import Image, Motion, after, flip, resize, rotation, warp, window

if TYPE_CHECKING:
    import albumentations

Options = Mapping[str, Any] | None
Range = Sequence[float]
Draw = tuple[float, float, float]  # degrees, pixels right, pixels down


class Moved(NamedTuple):
    """An augmented image, and where its pixels come from.

    Attributes:
        image: (size, size) uint8 grey.
        motion: (2, 3) from the source's pixels to these; masks and boxes follow by `warp.move_mask`, `warp.move_boxes`.
        mirrored: whether left and right have changed places (`RadiographRecord.mirrored`).
    """

    image: Image
    motion: Motion
    mirrored: bool


class ImageAugment:
    """Draws a combination of the operations that are switched on, and brings the image to its final side.

    Each operation is null (off) or a mapping with `p`, the probability with which an image draws it, and its
    ranges. Kakkar et al. list CLAHE, contrast, gamma, rotation and translation; crop, noise, blur, jitter,
    flips and rotation are CLIP's own. What moves pixels comes first, at the source's resolution; the rest
    sees only the final pixels. Borders are filled with the image's minimum.

    Args:
        size: side of the images that come out, pixels.
        images_per_image: variants of each slice that an epoch holds, each with its own draws.
        horizontal_flip: `p`.
        vertical_flip: `p`.
        rotation: `p`, `degrees` (lo, hi).
        translation: `p`, `share` (lo, hi) of the side, each axis on its own, in whole pixels.
        crop: `p`, `scale` (lo, hi) share of the area, `ratio` (lo, hi) width over height.
        clahe: `p`, `clip_limit` (lo, hi), `tiles` along a side.
        contrast: `p`, `factor` (lo, hi); PIL's definition, the blend with the mean grey.
        gamma: `p`, `gamma` (lo, hi); out = in ** gamma on [0, 1].
        jitter: `p`, `brightness` (lo, hi) factor, `contrast` (lo, hi) factor, in random order.
        blur: `p`, `sigma` (lo, hi) in output pixels.
        noise: `p`, `std` (lo, hi) share of the grey range.

    Attributes:
        flips: whether images may be flipped.

    Raises:
        ValueError: an option is unknown or missing, or a number is out of range; names operation and option.
    """

    def __init__(
        self,
        size: int,
        *,
        images_per_image: int = 1,
        horizontal_flip: Options = None,
        vertical_flip: Options = None,
        rotation: Options = None,
        translation: Options = None,
        crop: Options = None,
        clahe: Options = None,
        contrast: Options = None,
        gamma: Options = None,
        jitter: Options = None,
        blur: Options = None,
        noise: Options = None,
    ) -> None:
        for name, value in (("size", size), ("images_per_image", images_per_image)):
            if value < 1:
                raise ValueError(f"augment.{name} is {value}; it must be 1 or more")
        self.size = size
        self.images_per_image = images_per_image
        # Not albumentations' Affine: two of those take longer than all the rest, and interpolate twice.
        self._warps = _checked((_rotation, rotation), (_translation, translation))
        self._moves = _checked(
            (_horizontal_flip, horizontal_flip),
            (_vertical_flip, vertical_flip),
            (_crop, crop),
        )
        self._greys = _checked(
            (_clahe, clahe),
            (_contrast, contrast),
            (_gamma, gamma),
            (_jitter, jitter),
            (_blur, blur),
            (_noise, noise),
        )
        self.flips = any(option is not None and option["p"] > 0 for option in (horizontal_flip, vertical_flip))
        self._pipelines: tuple[albumentations.Compose, albumentations.Compose] | None = None

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Augment one image.

        Args:
            image: (S, S) uint8 grey; not changed.
            rng: the sample's generator; every draw comes from it.

        Returns:
            (size, size) uint8 grey. With everything off, nothing is drawn and this is `resize`.

        Raises:
            ValueError: the image is not a square of uint8.
        """
        return self.moved(image, rng).image

    def moved(self, image: Image, rng: np.random.Generator) -> Moved:
        """Augment one image and say how its pixels moved; draws and errors are those of a call."""
        if image.ndim != 2 or image.shape[0] != image.shape[1] or image.dtype != np.uint8:
            raise ValueError(f"image is {image.shape} {image.dtype}; augmentation takes square (S, S) uint8")
        side = len(image)
        image, motion = self._warped(image, rng)
        if not self._moves and not self._greys:
            return Moved(resize(image, self.size), after(window(0, 0, side, side, self.size), motion), False)
        moves, greys = self._build()
        # albumentations keeps its own state, which DataLoader workers would repeat: hand it this sample's.
        python_rng = random.Random(int(rng.integers(1 << 63)))
        image, done = _run(moves, image, rng, python_rng)
        for name, options in done:
            motion = after(_motion(name, options, side, self.size), motion)
            side = self.size if "crop_coords" in options else side
        motion = after(window(0, 0, side, side, self.size), motion)
        image, _ = _run(greys, resize(image, self.size), rng, python_rng)
        return Moved(np.ascontiguousarray(image), motion, any(name == "HorizontalFlip" for name, _ in done))

    def _warped(self, image: Image, rng: np.random.Generator) -> tuple[Image, Motion]:
        if not self._warps:
            return image, np.eye(2, 3)
        degrees, right, down = map(sum, zip(*(draw(rng, len(image)) for draw in self._warps), strict=True))
        by = (degrees, round(right), round(down))
        return warp(image, *by), rotation(len(image), *by)

    def warm_up(self) -> None:
        """Do the slow import, where it is needed; call it before workers fork, so that they share it."""
        if self._moves or self._greys:
            self._build()

    def _build(self) -> tuple[albumentations.Compose, albumentations.Compose]:
        if self._pipelines is None:
            a = _albumentations()
            moves, greys = ([make(a, self.size) for make in made] for made in (self._moves, self._greys))
            self._pipelines = a.Compose(moves, save_applied_params=True), a.Compose(greys)
        return self._pipelines

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pipelines": None}  # spawned workers make their own


def _run(
    pipeline: Any, image: Image, rng: np.random.Generator, python_rng: random.Random
) -> tuple[Image, Sequence[tuple[str, dict[str, Any]]]]:
    """The image, and what was applied to it where the pipeline notes that."""
    if not pipeline.transforms:
        return image, ()
    pipeline.set_random_state(rng, python_rng)
    out = pipeline(image=image)
    return out["image"], out.get("applied_transforms", ())


def _motion(name: str, options: Mapping[str, Any], side: int, size: int) -> Motion:
    if name == "RandomResizedCrop":
        left, top, right, bottom = options["crop_coords"]
        return window(left, top, right, bottom, size)
    return flip(side, horizontal=name == "HorizontalFlip")


def _checked(*pairs: tuple[Callable[..., Any], Options]) -> list[Callable[..., Any]]:
    return [partial(builder, **_plain(builder, options)) for builder, options in pairs if options is not None]


def _plain(builder: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    name = builder.__name__.lstrip("_")
    known = [p.name for p in inspect.signature(builder).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for key in options:
        if key not in known:
            hint = did_you_mean(key, known)
            raise ValueError(f"augment.{name}: option '{key}' is unknown{hint}, known: {', '.join(known)}")
    missing = [key for key in known if key not in options]
    if missing:
        raise ValueError(f"augment.{name}: option(s) {', '.join(missing)} missing")
    return {key: _number_or_range(f"augment.{name}.{key}", key, value) for key, value in options.items()}


def _number_or_range(where: str, key: str, value: Any) -> Any:
    if key == "p":
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{where} is {value}; a probability must be from 0 to 1")
        return float(value)
    if key == "tiles":
        if int(value) < 1:
            raise ValueError(f"{where} is {value}; it must be 1 or more")
        return int(value)
    low, high = _pair(where, value)
    if low < 0 and key not in ("degrees", "share"):
        raise ValueError(f"{where} is [{low}, {high}]; it can't be negative")
    return low, high


def _pair(where: str, value: Any) -> tuple[float, float]:
    values: list[Any] = [value] if isinstance(value, int | float | str) else list(value)
    if len(values) != 2 or any(isinstance(v, str) for v in values) or values[0] > values[1]:
        raise ValueError(f"{where} is {value}; give it as [low, high]")
    return float(values[0]), float(values[1])


def _albumentations() -> Any:
    # Importing it takes seconds and, unless told not to, asks the package index for its newest version.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations


def _horizontal_flip(a: Any, size: int, *, p: float) -> Any:
    return a.HorizontalFlip(p=p)


def _vertical_flip(a: Any, size: int, *, p: float) -> Any:
    return a.VerticalFlip(p=p)


def _rotation(rng: np.random.Generator, side: int, *, p: float, degrees: Range) -> Draw:
    return (rng.uniform(degrees[0], degrees[1]) if rng.random() < p else 0.0), 0.0, 0.0


def _translation(rng: np.random.Generator, side: int, *, p: float, share: Range) -> Draw:
    if rng.random() >= p:
        return 0.0, 0.0, 0.0
    return 0.0, side * rng.uniform(share[0], share[1]), side * rng.uniform(share[0], share[1])


def _crop(a: Any, size: int, *, p: float, scale: Range, ratio: Range) -> Any:
    return a.RandomResizedCrop((size, size), scale=scale, ratio=ratio, area_for_downscale="image", p=p)


def _clahe(a: Any, size: int, *, p: float, clip_limit: Range, tiles: int) -> Any:
    return a.CLAHE(clip_limit=clip_limit, tile_grid_size=(tiles, tiles), p=p)


def _contrast(a: Any, size: int, *, p: float, factor: Range) -> Any:
    # ColorJitter's contrast is torchvision's, which is PIL's: a blend with the mean of the grey image.
    return a.ColorJitter(brightness=(1, 1), contrast=factor, saturation=(1, 1), hue=(0, 0), p=p)


def _gamma(a: Any, size: int, *, p: float, gamma: Range) -> Any:
    return a.RandomGamma(gamma_limit=(100 * gamma[0], 100 * gamma[1]), p=p)  # in percent


def _jitter(a: Any, size: int, *, p: float, brightness: Range, contrast: Range) -> Any:
    return a.ColorJitter(brightness=brightness, contrast=contrast, saturation=(1, 1), hue=(0, 0), p=p)


def _blur(a: Any, size: int, *, p: float, sigma: Range) -> Any:
    return a.GaussianBlur(blur_limit=0, sigma_limit=sigma, p=p)  # 0: the kernel's size follows sigma


def _noise(a: Any, size: int, *, p: float, std: Range) -> Any:
    return a.GaussNoise(std_range=std, p=p)
