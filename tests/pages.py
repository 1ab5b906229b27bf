"""The Markdown pages that people read, and what is checked of each: its commands, links and headings."""

import re
import shlex
from pathlib import Path

from anatomy_clip.cli import main as cli
from anatomy_clip.cli.configs import config_folder
from anatomy_clip.cli.overrides import find_problem
from anatomy_clip.cli.program import PROGRAMS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    file.relative_to(ROOT).as_posix()
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/*.md", "experiments/*/README.md")
    for file in ROOT.glob(pattern)
)
CONFIGS = {f"{name}.py": config for name, (config, _) in PROGRAMS.items()} | {"run.py": "config", "export.py": "export"}
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", flags=re.S | re.M)
PROSE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", flags=re.S | re.M)  # what isn't: blocks and code within a line
LINK = re.compile(r"\]\(([^()\s]+)\)|<img [^>]*src=\"([^\"]+)\"|^\[[^\]]+\]: (\S+)", flags=re.M)
OTHERS = {
    "cd",
    "curl",
    "export",
    "git",
    "pip",
    "pytest",
    "ssh",
    "sha256sum",
    "unzip",
    "wandb",
}  # programs that aren't ours
OURS = re.compile(r"(make|anatomy-clip|python|\.venv/bin/\S+) ")


def read(page):
    """A page's text."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page, *languages):
    """The blocks of code of a page in these languages; "" is a block that names none."""
    return [text for language, text in FENCE.findall(read(page)) if language in languages]


def commands(page):
    """The lines of a page's shell blocks, without comments; of blocks without a language those that start a program."""
    lines = [line.strip() for block in blocks(page, "bash", "sh") for line in _lines(block)]
    lines += [line.strip() for block in blocks(page, "") for line in _lines(block) if OURS.match(line)]
    return [line for line in dict.fromkeys(lines) if line and not line.startswith("#")]


def targets():
    """The Makefile's targets."""
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.M))


def problem(command):
    """What is wrong with a command of a page, or None."""
    words = shlex.split(command, comments=True)
    for end in ("|", "&&", ">", ">>", "2>"):
        words = words[: words.index(end)] if end in words else words
    while words and re.fullmatch(r"[A-Za-z_]+=.*", words[0]):
        words = words[1:]  # the command's environment
    program, given = Path(words[0]).name, words[1:]
    if program == "make":
        return _make_problem(given)
    if program == "anatomy-clip":
        return _cli_problem(given)
    if re.fullmatch(r"python[\d.]*", program):
        return _script_problem(given)
    return None if program in OTHERS else f"{program} is no program of ours; the known others are {sorted(OTHERS)}"


def broken_links(page):
    """Links of a page to a file or a heading that isn't there."""
    wrong = []
    for found in LINK.finditer(PROSE.sub("", read(page))):
        link = next(one for one in found.groups() if one)
        if re.match(r"(https?|mailto):", link):
            continue
        file, _, heading = link.partition("#")
        target = ((ROOT / page).parent / file) if file else ROOT / page
        if not target.exists() or (heading and target.suffix == ".md" and heading not in headings(target)):
            wrong.append(link)
    return wrong


def headings(file):
    """The names by which GitHub lets a link reach the headings of a page."""
    names = []
    for text in re.findall(r"^#+ +(.*?) *#*$", FENCE.sub("", file.read_text(encoding="utf-8")), flags=re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).lower()  # of a link, what is read
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        same = sum(re.fullmatch(rf"{re.escape(name)}(-\d+)?", other) is not None for other in names)
        names.append(f"{name}-{same}" if same else name)
    return names + re.findall(r"<a (?:id|name)=\"([^\"]+)\"", file.read_text(encoding="utf-8"))


def _lines(block):
    return block.replace("\\\n", " ").splitlines()


def _make_problem(words):
    makefile = (ROOT / "Makefile").read_text()
    for word in (word for word in words if not word.startswith("-")):
        name, is_variable, _ = word.partition("=")
        if not re.search(rf"\b{name}\b", makefile) if is_variable else name not in targets():
            return f"make {word}: the Makefile doesn't know {name}"
    return None


def _cli_problem(words):
    try:
        given = cli.command_line().parse_args(words)
    except SystemExit as end:  # --help and --version end it too
        return None if not end.code else f"anatomy-clip {shlex.join(words)}: a wrong option or argument"
    return _override_problem(given.overrides, PROGRAMS[given.program][0]) if "program" in given else None


def _script_problem(words):
    if words[:2] in (["-m", "venv"], ["-m", "pip"]):
        return None
    script = ROOT / words[0]
    if not script.is_file():
        return f"{words[0]}: no such script"
    return _override_problem(words[1:], CONFIGS[script.name]) if script.name in CONFIGS else None


def _override_problem(words, config):
    return find_problem([word for word in words if not word.startswith("-")], config_folder(), config)
