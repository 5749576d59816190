"""Reports that a person likes to read: one self-contained page, its figures, and grids as files."""

from forearm.report.page import Facts
from forearm.report.recommendations import Recommendation, recommend
from forearm.report.write import write_report

__all__ = ["Facts", "Recommendation", "recommend", "write_report"]
