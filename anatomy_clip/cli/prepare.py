"""A source to stores, one a split, each with a contact sheet.

anatomy-clip prepare source=phantom
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from anatomy_clip import __version__
from anatomy_clip.core.kinds import Record
from anatomy_clip.core.radiographs import RADIOGRAPHS, RadiographRecord
from anatomy_clip.core.records import SLICES
from anatomy_clip.imaging.intensity import Display, SeveralDisplays
from anatomy_clip.imaging.radiographs import Radiograph, square
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.runs.wiring import build, check_targets
from anatomy_clip.sources.base import RadiographSource, Source
from anatomy_clip.sources.download.packages import Unreachable
from anatomy_clip.stores.contact_sheet import contact_sheet
from anatomy_clip.stores.film_sheet import film_sheet
from anatomy_clip.stores.prepare import Progress, Read, Render, Rendered, digest, prepare_split, refusals_of, up_to_date
from anatomy_clip.stores.store import MASKS, Store, pack_masks
from anatomy_clip.stores.vocabulary import VOCABULARY_VERSION

_SHOWN = 5  # kinds of notes that are printed
NO_NETWORK = 3  # exit status when a download isn't possible; the Makefile goes on without that source


def main(cfg: DictConfig) -> int:
    """Prepare every split of the source; returns the exit status."""
    try:
        check_targets(OmegaConf.to_container(cfg, resolve=False))
        source = build(cfg.source)
        for split in source.splits():
            prepare(cfg, source, split)
    except Unreachable as error:
        print(f"{cfg.source._target_.rsplit('.', 1)[-1]}: {error}", file=sys.stderr)
        return NO_NETWORK
    return 0


def prepare(cfg: DictConfig, source: Source | RadiographSource, split: str) -> None:
    """Make the store of one split, unless it is up to date."""
    store = Path(cfg.paths.data) / source.name / split
    settings = {
        "source": OmegaConf.to_container(cfg.source, resolve=False),
        "display": OmegaConf.to_container(cfg.display, resolve=True),
        "side": cfg.side,
        "split": split,
        "version": __version__,
        "manifest": (RADIOGRAPHS if isinstance(source, RadiographSource) else SLICES).version,
    }
    if isinstance(source, RadiographSource):
        settings["vocabulary"] = VOCABULARY_VERSION
    if selection := build(cfg.selection):  # one that takes all leaves the digest of older stores as it was
        settings["selection"] = asdict(selection)
    if fingerprint := getattr(source, "fingerprint", None):  # what it reads beside its settings, such as labels
        settings["fingerprint"] = dict(fingerprint())
        for secret in ("salt", "salt_file"):  # the fingerprint tells one salt from another
            settings["source"].pop(secret, None)
    sheet = store.with_name(f"{store.name}.png")
    if up_to_date(store, digest(settings)) and not cfg.overwrite:
        print(f"{store}: up to date")
    else:
        _write(cfg, source, split, store, settings)
        sheet.unlink(missing_ok=True)
    if cfg.contact_sheet and not sheet.exists():
        _contact_sheet(cfg, store, sheet)


def _write(
    cfg: DictConfig, source: Source | RadiographSource, split: str, store: Path, settings: Mapping[str, Any]
) -> None:
    if fetch := getattr(source, "fetch", None):  # a source that can get its files by itself
        fetch()
    volumes = source.volumes(split)
    with tqdm(total=len(volumes), desc=str(store), unit="volume", mininterval=1) as bar:

        def progress(now: Progress) -> None:
            each = now.core_seconds / max(now.images, 1)
            bar.set_postfix(images=now.images, bad=now.bad, core_seconds_each=f"{each:.2f}", refresh=False)
            bar.update(now.volumes - bar.n)

        read, render, masks = _reading(cfg, source, split)
        summary = prepare_split(
            read,
            volumes,
            store,
            render,
            settings=settings,
            masks=masks,
            workers=cfg.workers,
            max_bad_share=cfg.max_bad_share,
            limits=build(cfg.limits),
            selection=build(cfg.selection),
            progress=progress,
        )
    bad, doubts = len(summary.refusals), len(summary.doubts)
    said = f", {doubts} note(s)" if doubts else ""
    where = f" (see {refusals_of(store)})" if bad or doubts else ""
    films = isinstance(source, RadiographSource)
    made = f"{summary.images} {'films' if films else 'slices'} of "
    made += f"{summary.patients} patients" if films else f"{summary.volumes} volumes"
    print(f"{store}: {made}, {bad} refused{said}{where}")
    for reason, times in Counter(one.reason for one in summary.doubts).most_common(_SHOWN):
        print(f"  note on {times} place(s): {reason}")


def _reading(cfg: DictConfig, source: Source | RadiographSource, split: str) -> tuple[Read, Render, tuple[str, ...]]:
    """What reads a volume, what makes a store's image of it, and the names of its masks."""
    if isinstance(source, RadiographSource):
        return partial(source.films, split), partial(render_film, cfg.side, source.masks), source.masks
    return partial(source.slices, split), partial(render_slice, build(cfg.display), cfg.side), ()


def render_slice(display: Display | SeveralDisplays, side: int, image: Slice, record: Record) -> Rendered:
    """What a store keeps of a slice."""
    return display.square(image, side), record, {}


def render_film(side: int, names: tuple[str, ...], film: Radiograph, record: RadiographRecord) -> Rendered:
    """What a store keeps of a film: image, record and its masks as bits."""
    image, fitted, masks = square(film, record, side)
    return image, fitted, {MASKS: pack_masks(masks, names, side)} if names else {}


def _contact_sheet(cfg: DictConfig, store: Path, sheet: Path) -> None:
    opened = Store.open(store, kind=None)
    if opened.manifest.kind is RADIOGRAPHS:
        film_sheet(opened, sheet)
    else:
        contact_sheet(opened.images, opened.manifest, build(cfg.taxonomy), sheet)
    print(f"{sheet}: contact sheet")
