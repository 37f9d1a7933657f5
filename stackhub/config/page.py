"""One pipeline file under examination: what it holds, and where a finding about it stands."""

from dataclasses import dataclass

from stackhub.config.findings import Findings, Loc, dotted
from stackhub.config.shape import Fault
from stackhub.config.yaml_nodes import Document


@dataclass(frozen=True, slots=True)
class Page:
    """A document, and where to put what is wrong with it."""

    document: Document
    findings: Findings

    def wrong(self, loc: Loc, text: str, *, key: bool = False) -> None:
        """Add a problem at a value, or at its key; nothing more is said of a value the reader could not make out."""
        if loc not in self.document.broken:
            self.findings.wrong(self.document.place(loc, key=key), self.before(loc) + text)

    def warn(self, loc: Loc, text: str) -> None:
        """Add a warning at a value."""
        self.findings.warn(self.document.place(loc), self.before(loc) + text)

    def fault(self, fault: Fault, under: Loc = ()) -> None:
        """Add what a model does not take; ``under`` is where in the file its value stands."""
        loc = (*under, *fault.loc)
        if fault.kind == "extra_forbidden":
            place = self.document.place(loc, key=True)
            self.findings.wrong(place, self.before(loc[:-1]) + fault.text)
        else:
            self.wrong(loc, fault.text, key=fault.on_key)

    def before(self, loc: Loc) -> str:
        """Return what stands before a text about ``loc``: "tasks.marts.with.select: "."""
        known, whole = self.document.trace(loc)
        return f"{dotted(known if whole else loc)}: " if loc else ""
