"""The taxonomy: structures -> organs -> stations, label vectors and SNOMED CT codes, all from YAML data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from anatomy_clip.anatomy.rules import Areas, Rule, expand, parse_names, parse_rule, split_side
from anatomy_clip.anatomy.votes import Ballot, Tier, Voter
from anatomy_clip.core.names import did_you_mean
from anatomy_clip.core.records import SLICES
from anatomy_clip.core.terms import Orientation

_PARTS = ("name", "settings", "groups", "stations", "organs", "votes", "tiers", "silent")


@dataclass(frozen=True)
class Code:
    """A SNOMED CT concept (coding scheme SCT)."""

    value: str
    meaning: str


@dataclass(frozen=True)
class Station:
    """A body station with its codes."""

    name: str
    codes: tuple[Code, ...]


@dataclass(frozen=True)
class Organ:
    """An organ with its codes, the stations where it can occur (its own first) and the rules that find it."""

    name: str
    codes: tuple[Code, ...]
    stations: tuple[str, ...]
    rules: tuple[Rule, ...]


class Taxonomy:
    """A fixed order of organs and stations, and the rules that label a slice from the structures in it.

    Attributes:
        name: name of the taxonomy.
        organs: organ names, in the order of the label vectors.
        stations: station names, in the order of the label vectors.
        organ_stations: organ -> stations in which it can occur, for organ-station pairs.
        belongs: (K, S) bool, the same as a table.
        digest: short hash of all data, equal for equal taxonomies.
    """

    kind = SLICES

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data: dict[str, Any] = json.loads(json.dumps(data))  # plain, owned by nobody else
        missing = [part for part in _PARTS if part not in self._data]
        if missing:
            raise ValueError(f"taxonomy {self._data.get('name', '?')!r}: part(s) {', '.join(missing)} missing")
        self.name: str = self._data["name"]
        self._settings: dict[str, float] = self._data["settings"]
        self._groups: dict[str, list[str]] = self._data["groups"]
        self._stations = {name: Station(name, _codes(part)) for name, part in self._data["stations"].items()}
        self._organs = {name: self._organ(name, part) for name, part in self._data["organs"].items()}
        self.organs: tuple[str, ...] = tuple(self._organs)
        self.stations: tuple[str, ...] = tuple(self._stations)
        self.organ_stations: dict[str, tuple[str, ...]] = {o.name: o.stations for o in self._organs.values()}
        self.belongs: NDArray[np.bool_] = np.array(
            [[station in self.organ_stations[organ] for station in self.stations] for organ in self.organs]
        )
        self._ballots = {plane: self._ballot(plane) for plane in Orientation}
        self._known = self._known_structures()
        self.digest: str = hashlib.sha256(json.dumps(self._data).encode()).hexdigest()[:12]

    @classmethod
    def load(cls, name: str, settings: Mapping[str, float] | None = None) -> Taxonomy:
        """Load a taxonomy of the package by its name, or any other by the path of its YAML file.

        Args:
            name: name of a taxonomy in the package, or a path.
            settings: values that replace those in the file's `settings`.

        Raises:
            ValueError: no such taxonomy, an unknown setting, or a fault in the file; the message names it.
        """
        packaged = {str(f.name)[:-5]: f for f in files("anatomy_clip.anatomy").iterdir() if f.name.endswith(".yaml")}
        if name in packaged:
            text = packaged[name].read_text(encoding="utf-8")
        elif Path(name).is_file():
            text = Path(name).read_text(encoding="utf-8")
        else:
            raise ValueError(f"taxonomy {name!r} is not a file, and it is {_unknown(name, sorted(packaged))}")
        data = yaml.safe_load(text)
        if not isinstance(data, dict):
            raise ValueError(f"{name}: not a taxonomy (expected the parts {', '.join(_PARTS)})")
        for key, value in dict(settings or {}).items():
            if key not in data.get("settings", {}):
                raise ValueError(f"taxonomy setting {key!r}: {_unknown(key, list(data.get('settings', {})))}")
            data["settings"][key] = value
        return cls(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Taxonomy:
        """Rebuild a taxonomy from what `to_dict` gave."""
        return cls(data)

    def to_dict(self) -> dict[str, Any]:
        """The whole taxonomy as plain dicts, lists, strings and numbers, for checkpoints."""
        copy: dict[str, Any] = json.loads(json.dumps(self._data))
        return copy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Taxonomy) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def organ(self, name: str) -> Organ:
        """The organ of that name; ValueError with the nearest right name if there is none."""
        return self._organs[self._check(name, self.organs, "organ")]

    def station(self, name: str) -> Station:
        """The station of that name; ValueError with the nearest right name if there is none."""
        return self._stations[self._check(name, self.stations, "station")]

    def organs_of(self, structures: Mapping[str, float], orientation: Orientation) -> tuple[str, ...]:
        """Organs that a slice shows, in the taxonomy's order.

        Args:
            structures: structure name -> area in the slice, mm2; unknown names are ignored (see `unknown`).
            orientation: plane of the slice.
        """
        areas = Areas(structures)
        return tuple(o.name for o in self._organs.values() if any(rule.holds(areas, orientation) for rule in o.rules))

    def organ_areas(self, organs: Iterable[str], structures: Mapping[str, float]) -> dict[str, float]:
        """Areas of the structures that organs are found by, mm2; of an organ's rules, the one that finds most.

        Args:
            organs: their names.
            structures: as for `organs_of`.

        Raises:
            ValueError: there is no such organ.
        """
        areas = Areas(structures)
        return {o: max(sum(areas.of(n.of) for n in rule.all) for rule in self.organ(o).rules) for o in organs}

    def stations_of(self, structures: Mapping[str, float], orientation: Orientation) -> tuple[str, ...]:
        """Stations that a slice shows, in the taxonomy's order: level first, class second.

        Args:
            structures: as for `organs_of`.
            orientation: plane of the slice.
        """
        found = self._ballots[orientation].stations(Areas(structures))
        return tuple(station for station in self.stations if station in found)

    def unknown(self, structures: Iterable[str]) -> tuple[str, ...]:
        """Structure names, sorted, of which this taxonomy has never heard."""
        return tuple(sorted({name for name in structures if split_side(name)[0] not in self._known}))

    def organ_vector(self, organs: Iterable[str]) -> NDArray[np.bool_]:
        """Label vector of some organs, (K,) bool; ValueError on an unknown name."""
        return _vector([self.organs.index(self._check(o, self.organs, "organ")) for o in organs], len(self.organs))

    def station_vector(self, stations: Iterable[str]) -> NDArray[np.bool_]:
        """Label vector of some stations, (S,) bool; ValueError on an unknown name."""
        rows = [self.stations.index(self._check(s, self.stations, "station")) for s in stations]
        return _vector(rows, len(self.stations))

    def _check(self, name: str, names: Sequence[str], kind: str) -> str:
        if name not in names:
            raise ValueError(f"{kind} {name!r} in taxonomy {self.name!r}: {_unknown(name, names)}")
        return name

    def _number(self, value: Any) -> float:
        if isinstance(value, str):
            return float(self._settings[self._check(value, tuple(self._settings), "setting")])
        return float(value)

    def _organ(self, name: str, part: Mapping[str, Any]) -> Organ:
        where = f"taxonomy {self.name!r}, organ {name!r}"
        chosen = [rule for rule in part["rules"] if "if" not in rule or self._number(rule["if"])]
        rules = tuple(parse_rule(rule, self._groups, self._number, where) for rule in chosen)
        stations = tuple(self._check(station, tuple(self._stations), "station") for station in part["stations"])
        return Organ(name, _codes(part), stations, rules)

    def _ballot(self, plane: Orientation) -> Ballot:
        ranks: Sequence[Sequence[str]] = self._data["tiers"][plane.value]["ranks"]
        groups = [[voter for name in rank for voter in self._voters(name)] for rank in ranks]
        # Every rank but the last bears witness: the last is of limbs, which lie where the patient puts them.
        witnesses = tuple(voter for rank in groups[:-1] for voter in rank if len(voter.stations) == 1)
        share = self._number(self._data["tiers"][plane.value]["share"])
        least = self._number(self._data["tiers"][plane.value]["least"])
        return Ballot(tuple(Tier(tuple(rank)) for rank in groups), witnesses, share, least)

    def _voters(self, group: str) -> list[Voter]:
        where = f"taxonomy {self.name!r}, votes {group!r}"
        part: Mapping[str, Any] = self._data["votes"][self._check(group, tuple(self._data["votes"]), "vote group")]
        voters: list[Voter] = []
        for key, names in part["for"].items():
            stations = tuple(self._check(s, tuple(self._stations), "station") for s in key.split("|"))
            bases = parse_names(" + ".join(names), self._groups, where)
            voters += [Voter(base, stations, self._number(part.get("beyond", 0))) for base in bases]
        return voters

    def _known_structures(self) -> frozenset[str]:
        named = {base for organ in self._organs.values() for rule in organ.rules for base in rule.structures()}
        voting = {voter.base for group in self._data["votes"] for voter in self._voters(group)}
        silent = {base for pattern in self._data["silent"] for base in expand(pattern)}
        return frozenset(named | voting | silent)


def _codes(part: Mapping[str, Any]) -> tuple[Code, ...]:
    return tuple(Code(str(value), str(meaning)) for value, meaning in part["codes"].items())


def _vector(rows: Sequence[int], size: int) -> NDArray[np.bool_]:
    vector = np.zeros(size, dtype=np.bool_)
    vector[list(rows)] = True
    return vector


def _unknown(name: str, names: Sequence[str]) -> str:
    return "unknown" + (did_you_mean(name, names, cutoff=0.5) or f"; known: {', '.join(names)}")
