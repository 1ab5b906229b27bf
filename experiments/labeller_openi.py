"""Compare the rule labeller with the tags of the Open-I chest radiographs (Indiana University), as Markdown tables.

python experiments/labeller_openi.py NLMCXR_reports.tgz [--part held-out|looked-at|all]
"""

from __future__ import annotations

import argparse
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from sklearn.metrics import cohen_kappa_score

from anatomy_clip.cli.plain_errors import plain_errors
from anatomy_clip.core.terms import Side, State
from anatomy_clip.text.reports.labeller import label_text, plain
from anatomy_clip.text.reports.mentions import find_mentions
from anatomy_clip.text.reports.sections import join_texts
from anatomy_clip.text.reports.sentences import split_sentences
from anatomy_clip.text.reports.states import Label, merge_sides

HELD_OUT = 5  # reports whose number this divides were read while the labeller's words were written
SHOWN = 10  # disagreements
SAID = (State.POSITIVE, State.UNCERTAIN)
LONGEST = 1 << 20  # bytes of a report's file; those of the set have some 10,000
BONES = ("humerus", "clavicle", "scapula", "shoulder", "arm", "radius", "ulna")
TAGS = {
    "cardiomegaly": ("cardiomegaly",),
    "pleural_effusion": ("pleural effusion", "hydropneumothorax"),
    "pneumothorax": ("pneumothorax", "hydropneumothorax", "hemopneumothorax"),
    "consolidation": ("consolidation", "pneumonia", "infiltrate", "airspace disease"),
    "edema": ("pulmonary edema", "heart failure"),
    "atelectasis": ("pulmonary atelectasis",),
    "nodule": ("nodule", "mass"),
    "rib_fracture": ("fractures, bone",),  # with "ribs" among the tag's further words
    "limb_fracture": ("fractures, bone",),  # with one of BONES
    "support_devices": ("catheters, indwelling", "implanted medical device", "medical device", "tube, inserted"),
    "no_finding": ("normal",),
}  # finding -> first words of the tags that mean it; the set has none of COVID-19


@dataclass(frozen=True)
class Report:
    """One report of the set.

    Attributes:
        number: its uId.
        text: findings and impression.
        tags: those that people gave (`MeSH/major`), lower case: "pulmonary atelectasis/base/left".
    """

    number: int
    text: str
    tags: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", help="NLMCXR_reports.tgz")
    parser.add_argument("--part", choices=("held-out", "looked-at", "all"), default="held-out")
    given = parser.parse_args(argv)
    with plain_errors():
        chosen = [one for one in read_reports(Path(given.file)) if in_part(one.number, given.part)]
        print(page(chosen))


def in_part(number: int, part: str) -> bool:
    """Whether a report is in a part of the set."""
    return part == "all" or (number % HELD_OUT == 0) == (part == "looked-at")


def read_reports(path: Path) -> Iterator[Report]:
    """Reports that have findings or an impression, and tags.

    Raises:
        ValueError: no such file, not a gzipped tar of Open-I's XML files, or a damaged one among them.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if not member.name.endswith(".xml") or not member.isfile() or member.size > LONGEST:
                    continue
                file = archive.extractfile(member)
                report = _report(ElementTree.fromstring(file.read()), member.name) if file else None
                if report:
                    yield report
    except (OSError, EOFError, tarfile.TarError) as error:
        raise ValueError(
            f"{path.name}: can't be read as a .tgz of Open-I's reports ({type(error).__name__})"
        ) from error
    except ElementTree.ParseError as error:
        raise ValueError(f"{path.name}: {member.name} is not an XML file; fetch the archive again") from error


def _report(root: ElementTree.Element, name: str) -> Report | None:
    number = root.find("uId")
    if number is None or not number.get("id", "").removeprefix("CXR").isdigit():
        raise ValueError(f"{name}: no number in uId; is this a report of Open-I?")
    sections = {one.get("Label"): one.text for one in root.iter("AbstractText")}
    text = join_texts([sections.get("FINDINGS"), sections.get("IMPRESSION")])
    tags = tuple(one.text.strip().lower() for one in root.findall("MeSH/major") if one.text)
    return Report(int(number.get("id", "").removeprefix("CXR")), text, tags) if text and tags else None


def tagged(tags: Iterable[str], finding: str) -> Label | None:
    """What the tags say of a finding, with its side; None if nothing."""
    meant = [tag.split("/") for tag in tags if tag.split("/")[0].strip() in TAGS[finding]]
    wanted = {"rib_fracture": ("ribs", "rib"), "limb_fracture": BONES}.get(finding)
    if wanted:
        meant = [parts for parts in meant if set(wanted) & set(parts)]
    if not meant:
        return None
    words = {word for parts in meant for word in parts}
    sides = {"left": Side.LEFT, "right": Side.RIGHT, "bilateral": Side.BOTH}
    return Label(State.POSITIVE, merge_sides([side for word, side in sides.items() if word in words]))


def page(reports: Sequence[Report]) -> str:
    """The tables: a row a finding, and the commonest disagreements.

    Raises:
        ValueError: no report.
    """
    if not reports:
        raise ValueError("the file has no report with tags and text; is it NLMCXR_reports.tgz?")
    labelled = [label_text(one.text) for one in reports]
    lines = [
        f"{len(reports)} reports. *Said*: positive or uncertain by the labeller; *certain only*: positive.",
        "",
        "| finding | tagged | said | agree | kappa | precision | recall | F1 | F1, certain only | side right |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    differ: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for finding in TAGS:
        truth = [tagged(one.tags, finding) for one in reports]
        said = [one[finding] for one in labelled]
        lines.append(_row(finding, truth, said))
        for report, true, label in zip(reports, truth, said, strict=True):
            if (label.state in SAID) != bool(true):
                differ[finding, label.state, "yes" if true else "no"][_words(report.text, finding)] += 1
    lines += ["", "| finding | labelled | tagged | reports | commonest first words |", "|---|---|---|---:|---|"]
    for key, words in sorted(differ.items(), key=lambda one: (-one[1].total(), one[0]))[:SHOWN]:
        lines.append(f"| {' | '.join(key)} | {words.total()} | {words.most_common(1)[0][0]} |")
    return "\n".join(lines)


def _row(finding: str, truth: Sequence[Label | None], said: Sequence[Label]) -> str:
    true, ours = [bool(one) for one in truth], [one.state in SAID for one in said]
    precision, recall, f1 = scores(true, ours)
    certain = scores(true, [one.state is State.POSITIVE for one in said])[2]
    agree = sum(a == b for a, b in zip(true, ours, strict=True)) / len(true)
    kappa = cohen_kappa_score(true, ours) if len({*true, *ours}) > 1 else float("nan")
    both = [(t.side, s.side) for t, s in zip(truth, said, strict=True) if t and s.state in SAID and t.side and s.side]
    side = f"{sum(t == s for t, s in both)}/{len(both)}" if both else "-"
    numbers = " | ".join(f"{one:.3f}" for one in (agree, kappa, precision, recall, f1, certain))
    return f"| {finding} | {sum(true)} | {sum(ours)} | {numbers} | {side} |"


def scores(true: Sequence[bool], said: Sequence[bool]) -> tuple[float, float, float]:
    """Precision, recall and F1; NaN where they have no meaning."""
    hits = sum(a and b for a, b in zip(true, said, strict=True))
    parts = (hits, sum(said)), (hits, sum(true)), (2 * hits, sum(said) + sum(true))
    precision, recall, f1 = (a / b if b else float("nan") for a, b in parts)
    return precision, recall, f1


def _words(text: str, finding: str) -> str:
    """The first words of a text that mention a finding."""
    for sentence in map(plain, split_sentences(text, min_words=1)):
        for one in find_mentions(sentence):
            if one.finding == finding:
                return sentence[one.start : one.end]
    return "(none)"


if __name__ == "__main__":
    main()
