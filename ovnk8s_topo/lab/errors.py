"""What can go wrong with a lab, apart from missing programs (`OvnNotInstalled`) and failing ones (`OvnToolError`)."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot do what was asked; the text says what and why."""
