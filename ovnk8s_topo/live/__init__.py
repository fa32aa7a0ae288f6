"""What a running reconciler knows, so that an event costs what it touches and not what there is.

Law: pure. After every event the plan is the one that the whole topology would have got.
"""

from ovnk8s_topo.live.engine import Engine
from ovnk8s_topo.live.lone import Lone
from ovnk8s_topo.live.outcome import Outcome, Way
from ovnk8s_topo.live.roll import Draft, Event, Object, Roll

__all__ = ["Draft", "Engine", "Event", "Lone", "Object", "Outcome", "Roll", "Way"]
