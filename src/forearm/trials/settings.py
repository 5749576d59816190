"""How policies are tried. Imports no torch: the settings are shown without it."""

from dataclasses import dataclass
from pathlib import Path

from forearm.base.errors import ForearmError


@dataclass(frozen=True)
class TrialSettings:
    """Which policies are tried, from where, and who judges."""

    policy: tuple[str, ...] = ()
    """Policies to try on the same starts: replay, noise:SIZE, cut:SHARE, still, expert:CLUMSINESS, or FILE.py:FUNCTION
    or MODULE:FUNCTION, perhaps with :ARGUMENT, which makes one."""
    data: Path | None = None
    """The dataset at whose episodes' first frames trials begin; by default that of the run, and of it the validation
    part alone."""
    episodes: str = ""
    """Numbers of the episodes to begin at, such as 0:50,60; all by default."""
    starts: int = 50
    """Most starts."""
    horizon: int | None = None
    """Steps of a trial; by default as many as the longest of the episodes has."""
    success: str = "auto"
    """Who judges: auto, picture, object, way, learned, region:CAMERA:LEFT,TOP,RIGHT,BOTTOM, FILE.py:FUNCTION,
    sheets:FOLDER, or the path of a program."""
    within: float = 15.0
    """Millimetres from its place at which an object counts as there."""
    goal: str | None = None
    """The task in words, instead of that of the episodes; a scorer of one's own and policies get it."""
    abstain: float | None = None
    """The expected error of a picture above which the model abstains; by default what 95 % of its validation
    episodes stay below where it imagines them."""
    simulator: Path | None = None
    """The simulated recording of which --data was built; every trial is then also carried out in the simulator, and
    the truth stands beside the dream."""
    best_of: int = 1
    """Imagine so many proposals of each policy from each start, and choose the one whose end scores best."""
    controls: bool = True
    """Also ask the dream about what is known, the recorded commands and an arm that holds still, and correct success
    by it; a person or a program is not asked about these."""
    seed: int = 0
    """Of what policies draw."""

    def require_sound(self) -> None:
        """Refuse settings with which nothing can be tried.

        Raises:
            ForearmError: says which, and what it may be.
        """
        if not self.policy:
            raise ForearmError("no policy is given; give --policy, such as --policy replay noise:5")
        if len(set(self.policy)) < len(self.policy):
            raise ForearmError("a policy is given twice; give each once")
        for name, least in (("starts", 2), ("horizon", 1), ("best_of", 1), ("seed", 0)):
            if (number := getattr(self, name)) is not None and number < least:
                raise ForearmError(f"{name} is {number}; choose at least {least}")
        if not 0 < self.within <= 1000:
            raise ForearmError(f"within is {self.within:g}; choose millimetres above 0 and up to 1000")
        if self.abstain is not None and not self.abstain > 0:
            raise ForearmError(f"abstain is {self.abstain:g}; choose an expected error above 0")
