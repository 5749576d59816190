"""The operator is as clumsy as it is told to be, in its aim, its tremor, its pauses and its speed."""

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("mujoco") is None:  # not imported here: forearm.sim must be the first to do so
    pytest.skip("needs the extra `sim`", allow_module_level=True)

from forearm.sim import Simulator
from forearm.sim.kinematics import Grip
from forearm.sim.operator import Operator

SIMULATOR = Simulator()


def operator_of(clumsiness: float, seed: int = 0) -> Operator:
    return Operator(SIMULATOR, clumsiness, np.random.default_rng(seed))


@pytest.mark.parametrize("clumsiness", [0.0, 0.5, 1.0])
def test_aim_tremor_and_pauses_grow_with_clumsiness(clumsiness: float) -> None:
    operator = operator_of(clumsiness)
    missed = np.array([operator.misaimed() for _ in range(2000)])
    np.testing.assert_allclose(missed.std(axis=0), [0.014 * clumsiness, 0.014 * clumsiness, 0], rtol=0.1)
    targets = np.array(list(operator.wait(40)))
    np.testing.assert_allclose(targets.std(axis=0), 1.2 * clumsiness, rtol=0.4, atol=1e-3)
    pauses = np.mean([next(operator._hesitation(), None) is not None for _ in range(500)])
    assert pauses == pytest.approx(0.4 * clumsiness, abs=0.06)


def test_only_the_clumsy_vary_in_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Operator, "_hesitation", lambda operator: iter(()))
    grip = Grip(np.array([0.22, 0.05, 0.06]), 70.0)
    for clumsiness in (0.0, 1.0):
        lengths = {len(list(operator_of(clumsiness, seed).reach(grip))) for seed in range(6)}
        assert (len(lengths) == 1) == (clumsiness == 0)
