"""A look at a run before a machine is paid for: does it fit, will it start, how long will it take?

Five stages, cheapest first: what can be seen without a machine, arithmetic from the data's real
sizes, the cluster, a rehearsal of one step with the longest samples, a verdict.
"""

from trainers.preflight.findings import STAGES, Finding
from trainers.preflight.looking import Preflight

__all__ = ["STAGES", "Finding", "Preflight"]
