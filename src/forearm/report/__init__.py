"""Self-contained pages: the report of a run, the comparison of several, the gallery of their data."""

from forearm.report.evaluation_page import Facts
from forearm.report.recommendations import Recommendation, recommend
from forearm.report.write import write_report
