"""A radiology report to its sections, as the field's public parsers cut it; no character of the text is lost.

A heading is capitals and a colon at the start of a line (the rule of the MIMIC-CXR section parser, Johnson et al., doi
10.1038/s41597-019-0322-0); a heading of the table below also counts within a line, or in other letters at its start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

PREAMBLE = "preamble"  # what stands before the first heading
LAST_PARAGRAPH = "last_paragraph"  # of a report with neither findings nor impression: there they usually stand
DESCRIBING = ("findings", "impression", "findings_and_impression")

_NAMES = {
    "indication": ("indication", "indications", "reason", "reason for exam", "reason for examination",
                   "reason for study", "clinical indication", "clinical information", "clinical history", "history",
                   "patient history"),
    "comparison": ("comparison", "comparisons", "comparison study", "comparison studies", "comparision"),
    "technique": ("technique", "techniques", "procedure", "procedure comments", "views"),
    "examination": ("examination", "exam", "study", "type of examination", "exam type"),
    "findings": ("findings", "finding", "report", "chest findings", "observations", "finidngs", "findigns"),
    "impression": ("impression", "impressions", "conclusion", "conclusions", "impresson", "impresion", "imression",
                   "summary", "opinion"),
    "findings_and_impression": ("findings and impression", "findings/impression", "impression and findings"),
    "recommendation": ("recommendation", "recommendations"),
    "notification": ("notification", "notifications", "notice", "nofication"),
    "addendum": ("addendum",),
    "wet_read": ("wet read", "wet reading", "preliminary report", "provisional findings impression"),
}  # fmt: skip
_KNOWN = {heading: name for name, headings in _NAMES.items() for heading in headings}
_ANY = "|".join(sorted((re.escape(heading) for heading in _KNOWN), key=len, reverse=True))
_HEADING = re.compile(
    rf"^[ \t]*(?P<prefix>(?:FINAL|PRELIMINARY|INTERIM) (?:ADDENDUM TO |RADIOLOGY )?REPORT)[ \t]*$"
    rf"|^[ \t]*(?P<line>[A-Z][A-Z ()/,&-]+[A-Z)])[ \t]*:"
    rf"|^[ \t]*(?P<known>(?i:{_ANY}))[ \t]*:"
    rf"|(?:(?<=[.!?_;:)])|(?<=X))[ \t]+(?P<inline>{_ANY.upper()})[ \t]*:",
    flags=re.M,
)
_GAP = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        name: "findings", "impression" and so on; of a heading that isn't known, its own words joined by "_".
        heading: as it stands in the report, with its colon; empty where there is none.
        text: what stands below it, as it is but for blanks at both ends; may be empty.
    """

    name: str
    heading: str
    text: str


def decode(data: bytes) -> str:
    """The text of a report's file: UTF-16 by its mark, UTF-8, or else Windows-1252, which any bytes can be read as."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig")):
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                continue
    return data.decode("cp1252", errors="replace")


def split_sections(report: str) -> tuple[Section, ...]:
    """Cut a report into its sections, in their order.

    Text before the first heading is the `preamble`. Where there are neither findings nor impression, what follows the
    last section's first blank line is the `last_paragraph`; a report without heading or blank line is one as a whole.
    """
    report = report.replace("\r\n", "\n").replace("\r", "\n").replace("\N{NO-BREAK SPACE}", " ")
    found = list(_HEADING.finditer(report))
    ends = [one.start() for one in found[1:]] + [len(report)]
    sections = [Section(PREAMBLE, "", report[: found[0].start() if found else len(report)].strip())]
    for one, end in zip(found, ends, strict=bool(found)):
        sections.append(Section(_name(one), one.group().strip(), report[one.end() : end].strip()))
    if not any(one.name in DESCRIBING for one in sections):
        sections[-1:] = _last_paragraph(sections[-1], alone=not any(one.heading for one in sections))
    return tuple(one for one in sections if one.heading or one.text)


def described(report: str) -> str:
    """What a report says of the images: findings and impression, or else the last paragraph; empty if it has none."""
    sections = split_sections(report)
    chosen = [one for one in sections if one.name in DESCRIBING] or [
        one for one in sections if one.name == LAST_PARAGRAPH
    ]
    return join_texts(one.text for one in chosen)


def join_texts(texts: Iterable[str | None]) -> str:
    """Join texts of sections by blank lines, so that no sentence runs on into the next section."""
    return "\n\n".join(filter(None, (text.strip() for text in texts if text)))


def _name(found: re.Match[str]) -> str:
    if found["prefix"]:
        return PREAMBLE
    heading = " ".join((found["line"] or found["known"] or found["inline"]).lower().split())
    return _KNOWN.get(heading) or "_".join(re.findall(r"\w+", heading))


def _last_paragraph(section: Section, alone: bool) -> list[Section]:
    gap = _GAP.search(section.text)
    if gap:
        first, rest = section.text[: gap.start()].strip(), section.text[gap.end() :].strip()
        return [Section(section.name, section.heading, first), Section(LAST_PARAGRAPH, "", rest)]
    return [Section(LAST_PARAGRAPH, "", section.text)] if alone or section.heading == "" else [section]
