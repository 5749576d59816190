"""Every metric against the words of the design, written out slowly."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from support.canvases import decode

from forearm.base.errors import ForearmError
from forearm.canvas import (
    MOVE_MINUS,
    MOVE_PLUS,
    STAY,
    ActionDimension,
    Camera,
    Joint,
    Layout,
    action_codes,
    as_uint8,
    draw,
)
from forearm.evaluation.metrics import OUTCOME_METRICS, Truth, against_outcomes, counterfactuals, per_sample, score
from forearm.evaluation.samples import Samples
from forearm.evaluation.ssim import blurred, similarity_map, ssim, ssim_valid
from forearm.transitions.store import Outcomes

LAYOUT = Layout(
    cameras=(Camera("base", 16, 16), Camera("wrist", 16, 16)),
    joints=(Joint("pan", "deg", -50, 50, 20), Joint("lift", "deg", 0, 90, 30), Joint("jaw", "%", 0, 100, 50)),
    actions=(ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0)),
    patch=4,
    separator=4,
)


def draw_moments(n=6, seed=0, layout=LAYOUT):
    """Canvases (n, 3, H, W) of half-changed noise, with codes STAY, MOVE+, MOVE−, STAY, … on alternating joints."""
    rng = np.random.default_rng(seed)
    frames = rng.random((n, 2, layout.frame_height, layout.frame_width, 3), np.float32)
    frames[:, 1, :, : layout.frame_width // 2] = frames[:, 0, :, : layout.frame_width // 2]
    codes = np.arange(n) % 3
    actions = np.zeros((n, 1, len(layout.actions)), np.float32)
    actions[np.arange(n), 0, np.arange(n) // 3 % len(layout.actions)] = np.array([0, 1, -1])[codes]
    positions = np.repeat(rng.uniform(20, 40, (n, 1, len(layout.joints))), 2, axis=1)
    positions[:, 1, 0] += 8 * actions[:, 0, 0]
    positions[:, 1, 1] += 8 * actions[:, 0, 1]
    positions[:, 1, 2] += 0.5  # drifts, whatever is done
    return draw(layout, frames, positions, actions), codes


def guesses(truth, seed=1, noise=0.1):
    """Predicted canvases: the truth's last frame with noise on picture and strip."""
    predicted = truth.copy()
    region = predicted[..., LAYOUT.frame_columns(-1)]
    region += noise * np.random.default_rng(seed).standard_normal(region.shape).astype(np.float32)
    return predicted.clip(0, 1)


def mean_or_none(values):
    return float(np.mean(values)) if len(values) else None


def slow_score(truth, predicted, layout, codes):
    """DESIGN §5, sentence by sentence."""
    h, last, previous = layout.frame_height, layout.frame_columns(-1), layout.frame_columns(-2)
    true, guess = decode(layout, truth), decode(layout, predicted)
    table = {}
    visual, strip, psnr, static, dynamic, similarity = [], [], [], [], [], []
    valid, energies = [], []
    for t, p in zip(truth.astype(np.float64), predicted.astype(np.float64), strict=True):
        squares = (t[:, :h, last] - p[:, :h, last]) ** 2
        visual.append(squares.mean())
        strip.append(((t[:, h:, last] - p[:, h:, last]) ** 2).mean())
        psnr.append(-10 * np.log10(visual[-1]))
        moving = np.abs(t[:, :h, last] - t[:, :h, previous]).mean(0) > 0.02
        if moving.any():
            dynamic.append(squares[:, moving].mean())
        if (~moving).any():
            static.append(squares[:, ~moving].mean())
        similarity.append(slow_ssim(t[:, :h, last], p[:, :h, last]))
        views = [[z[:, :h, last][:, 16 * c : 16 * c + 16] for c in range(2)] for z in (t, p)]
        valid.append(np.mean([slow_ssim(*view, padding=0) for view in zip(*views, strict=True)]))
        true_energy, energy = ([sum(np.sum(np.diff(v, axis=a) ** 2) for v in of for a in (1, 2))] for of in views)
        energies.append((*energy, *true_energy))
    table["val_mse"] = table["val_mse_visual"] = np.mean(visual)
    table |= {"val_mse_motor_strip": np.mean(strip), "psnr": np.mean(psnr), "ssim": np.mean(similarity)}
    table["ssim_valid"] = np.mean(valid)
    moves = codes != STAY
    for name, values in {"val_mse": visual, "psnr": psnr, "ssim": similarity, "ssim_valid": valid}.items():
        table[f"{name}_moves"] = mean_or_none(np.array(values)[moves])
    energy, true_energy = np.array(energies)[moves].sum(0)
    table["sharpness"] = energy / true_energy if moves.any() else None
    table |= {"val_mse_static": mean_or_none(static), "val_mse_dynamic": mean_or_none(dynamic)}

    n, joints = len(truth), len(layout.joints)
    right, acting_right, acting_errors, inconsistent = [], [], [], []
    errors = np.abs(guess.positions[:, -1] - true.positions[:, -1])
    for i in range(n):
        dimension = int(np.abs(true.actions[i, -1]).argmax())
        acting = layout.joint_names.index(layout.actions[dimension].joint)
        acting_errors.append(errors[i, acting])
        for j in range(joints):
            before, now, told = true.positions[i, -2, j], true.positions[i, -1, j], guess.positions[i, -1, j]
            inconsistent.append(abs(guess.velocities[i, -1, j] - (told - before)))
            if codes[i] != STAY and abs(now - before) > 1e-6:
                right.append(np.sign(told - before) == np.sign(now - before))
                if j == acting:
                    acting_right.append(right[-1])
    table["motor_position_mae_per_joint"] = [errors[:, j].mean() for j in range(joints)]
    table["motor_position_mae_mean"] = errors.mean()
    table["motor_velocity_mae_mean"] = np.abs(guess.velocities[:, -1] - true.velocities[:, -1]).mean()
    table["motor_direction_accuracy"] = mean_or_none(right)
    table["motor_consistency_error"] = np.mean(inconsistent)
    table["acting_joint_direction_accuracy"] = mean_or_none(acting_right)
    table["acting_joint_position_mae"] = np.mean(acting_errors)
    for code in (STAY, MOVE_PLUS, MOVE_MINUS):
        table[f"val_mse_action_{code}"] = mean_or_none(np.array(visual)[codes == code])
        table[f"motor_position_mae_action_{code}"] = mean_or_none(errors[codes == code].mean(1))
    return table


def slow_ssim(x, y, padding=5):
    """Structural similarity of (3, h, w), window by window."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    widths = ((0, 0), (padding, padding), (padding, padding))
    for a, b in zip(np.pad(x, widths), np.pad(y, widths), strict=True):
        for row in range(a.shape[0] - 10):
            for column in range(a.shape[1] - 10):
                u, v = (z[row : row + 11, column : column + 11] for z in (a, b))
                mu, mv = (weights * u).sum(), (weights * v).sum()
                su, sv = (weights * u * u).sum() - mu**2, (weights * v * v).sum() - mv**2
                suv = (weights * u * v).sum() - mu * mv
                values.append((2 * mu * mv + 1e-4) * (2 * suv + 9e-4) / (mu**2 + mv**2 + 1e-4) / (su + sv + 9e-4))
    return np.mean(values)


def assert_same(table, expected):
    assert table.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert table[name] is None, name
        else:
            assert table[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("n", [1, 2, 7])
def test_score_is_what_the_design_says(n):
    truth, codes = draw_moments(n)
    predicted = guesses(truth)
    assert_same(score(truth, predicted, LAYOUT, codes), slow_score(truth, predicted, LAYOUT, codes))


@given(seed=st.integers(0, 10**6), n=st.integers(1, 4), noise=st.floats(0.01, 0.5))
@settings(max_examples=8, deadline=None)
def test_score_is_what_the_design_says_on_anything(seed, n, noise):
    truth, codes = draw_moments(n, seed)
    predicted = guesses(truth, seed + 1, noise)
    assert_same(score(truth, predicted, LAYOUT, codes), slow_score(truth, predicted, LAYOUT, codes))


def test_the_last_frame_is_scored_and_nothing_else():
    truth, codes = draw_moments()
    predicted = guesses(truth)
    elsewhere = predicted.copy()
    elsewhere[..., : LAYOUT.frame_columns(-1).start] = 0.5
    expected = score(truth, predicted, LAYOUT, codes)
    assert score(truth, elsewhere, LAYOUT, codes) == expected
    assert score(truth, predicted[..., LAYOUT.frame_columns(-1)], LAYOUT, codes) == expected


def test_bytes_floats_and_tensors_score_alike():
    truth, codes = draw_moments()
    truth, predicted = as_uint8(truth), as_uint8(guesses(truth))
    expected = score(truth, predicted, LAYOUT, codes)
    assert score(torch.from_numpy(truth), torch.from_numpy(predicted), LAYOUT, torch.from_numpy(codes)) == expected
    assert_same(score(truth.astype(np.float32) / 255, predicted.astype(np.float32) / 255, LAYOUT, codes), expected)


def test_a_perfect_prediction():
    truth, codes = draw_moments()
    table = score(truth, truth, LAYOUT, codes)
    errors = [v for k, v in table.items() if "mse" in k or k.endswith("_mae") or "mae_mean" in k or "mae_action" in k]
    assert errors == [0] * len(errors)
    assert table["motor_consistency_error"] == pytest.approx(0, abs=1e-4)
    assert table["motor_position_mae_per_joint"] == [0, 0, 0]
    assert table["ssim"] == pytest.approx(1)
    assert table["psnr"] == 100  # the cap
    assert table["motor_direction_accuracy"] == table["acting_joint_direction_accuracy"] == 1


def test_hand_computed_mse_and_psnr():
    truth, codes = draw_moments(3)
    truth[..., LAYOUT.frame_columns(-1)] = 0.5
    predicted = truth.copy()
    predicted[..., LAYOUT.frame_columns(-1)] = 0.6
    table = score(truth, predicted, LAYOUT, codes)
    assert table["val_mse"] == table["val_mse_visual"] == pytest.approx(0.01, rel=1e-5)
    assert table["val_mse_motor_strip"] == pytest.approx(0.01, rel=1e-5)
    assert table["psnr"] == pytest.approx(20, rel=1e-5)


def test_what_no_sample_defines_is_none():
    truth, codes = draw_moments(1)  # one STAY
    h, last, previous = LAYOUT.frame_height, LAYOUT.frame_columns(-1), LAYOUT.frame_columns(-2)
    truth[:, :, :h, last] = truth[:, :, :h, previous]
    table = score(truth, guesses(truth), LAYOUT, codes)
    undefined = {name for name, value in table.items() if value is None}
    assert undefined == {
        "val_mse_dynamic",
        "sharpness",
        *(f"{name}_moves" for name in ("val_mse", "psnr", "ssim", "ssim_valid")),
        *(f"{kind}_action_{code}" for kind in ("val_mse", "motor_position_mae") for code in (MOVE_PLUS, MOVE_MINUS)),
        "motor_direction_accuracy",
        "acting_joint_direction_accuracy",
    }


def test_direction_pools_samples_and_joints_and_ignores_stay():
    truth, codes = draw_moments(6)
    predicted = truth.copy()
    position_of_jaw = LAYOUT.strip_cells()[2]
    predicted[..., LAYOUT.frame_columns(-1)][:, :, position_of_jaw[0], position_of_jaw[1]] = 0  # far down: wrong
    table = score(truth, predicted, LAYOUT, codes)
    assert table["motor_direction_accuracy"] == pytest.approx(4 / 8)  # 4 moves × (the acting joint, the jaw)
    assert table["acting_joint_direction_accuracy"] == 1


def test_the_acting_joint_without_a_name_is_the_one_that_changed_most_for_its_range():
    nameless = Layout(LAYOUT.cameras, LAYOUT.joints, (ActionDimension("reach"),), patch=4, separator=4)
    by_name = Layout(LAYOUT.cameras, LAYOUT.joints, (ActionDimension("jaw"),), patch=4, separator=4)
    frames = np.zeros((1, 2, 32, 16, 3), np.float32)
    positions = np.array([[[0, 10, 10], [11, 20, 20]]], float)  # 0.11, 0.111 and 0.1 of the range
    canvases = draw(nameless, frames, positions, np.ones((1, 1, 1), np.float32))
    for layout, joint, driven in ((nameless, 1, False), (by_name, 2, True)):
        truth = Truth(layout, canvases, np.array([MOVE_PLUS]))
        assert truth.acting.tolist() == [joint]
        assert truth.driven.tolist() == [driven]


def test_the_decision_of_a_stay_can_be_told():
    truth, codes = draw_moments(1)
    assert Truth(LAYOUT, truth, codes).acting.tolist() == [0]
    assert Truth(LAYOUT, truth, codes, np.array([1])).acting.tolist() == [1]


def test_counterfactual_metrics_by_hand():
    truth, codes = draw_moments(3)
    seen = Truth(LAYOUT, truth, codes)
    h = LAYOUT.frame_height
    pan = LAYOUT.strip_cells()[0]
    under = {}
    for code, shade, grey in ((STAY, 0.5, 0.5), (MOVE_PLUS, 0.6, 0.7), (MOVE_MINUS, 0.5, 0.4)):
        under[code] = np.full_like(seen.last, shade)
        under[code][:, :, h:] = 0
        under[code][:, :, pan[0], pan[1]] = grey
    table = counterfactuals(seen, under).table()
    cell = 16 / (LAYOUT.strip_height * LAYOUT.frame_width)
    assert table["action_discrimination_score"] == pytest.approx((0.01 + 0 + 0.01) / 3, rel=1e-4)
    assert table["motor_discrimination_score"] == pytest.approx(cell * (0.04 + 0.01 + 0.09) / 3, rel=1e-4)
    assert table["counterfactual_order"] == 1
    assert table["counterfactual_plus_above_minus"] == 1
    under[STAY][:, :, pan[0], pan[1]] = 0.9
    table = counterfactuals(seen, under).table()
    assert table["counterfactual_order"] == 0
    assert table["counterfactual_plus_above_minus"] == 1


def test_controllability_is_what_the_right_action_gains():
    truth, codes = draw_moments(3)
    seen = Truth(LAYOUT, truth, codes)
    under = {code: seen.last + np.where(codes == code, 0.01, 0.1)[:, None, None, None] for code in range(3)}
    assert counterfactuals(seen, under).table()["controllability_psnr"] == pytest.approx(20, rel=1e-4)
    under[STAY][0] = seen.last[0] + 0.1  # the STAY, which is the first sample
    assert counterfactuals(seen, under).table()["controllability_psnr"] == pytest.approx(40 / 3, rel=1e-4)
    assert counterfactuals(seen, under).table()["controllability_psnr_moves"] == pytest.approx(20, rel=1e-4)
    same = dict.fromkeys(range(3), seen.last + 0.1)
    assert counterfactuals(seen, same).table()["controllability_psnr"] == pytest.approx(0, abs=1e-9)


def test_the_action_that_explains_the_frame_best_wins_and_ties_share():
    truth, codes = draw_moments(3)
    seen = Truth(LAYOUT, truth, codes)

    def accuracy(under):
        return counterfactuals(seen, under).sums["k_way_accuracy"].tolist()

    noise = {code: np.full(seen.last.shape, 0.1 * code, np.float32) for code in range(3)}
    assert accuracy({code: seen.last + shade for code, shade in noise.items()}) == [1, 0, 0]  # STAY is always nearest
    assert accuracy(dict.fromkeys(range(3), seen.last + 0.1)) == pytest.approx([1 / 3] * 3)
    assert accuracy({0: seen.last + 0.1, 1: seen.last + 0.1, 2: seen.last + 0.2}) == [0.5, 0.5, 0]
    right = {code: seen.last + 0.1 * (codes != code)[:, None, None, None] for code in range(3)}
    assert accuracy(right) == [1, 1, 1]


def replay(seen, seed=2, known=None):
    """True outcomes of every action, of which that of the action taken is the truth."""
    random = np.random.default_rng(seed)
    last = random.random((len(seen.codes), 3, *seen.last.shape[1:]), np.float32)
    last[np.arange(len(seen.codes)), seen.codes] = seen.last
    return Outcomes(last, np.ones((len(seen.codes), 3), bool) if known is None else known)


def test_errors_under_actions_not_taken_by_hand():
    truth, codes = draw_moments(3)  # STAY, MOVE+, MOVE−
    seen = Truth(LAYOUT, truth, codes)
    real = replay(seen)
    under = {code: real.last[:, code] + shade for code, shade in enumerate((0.1, 0.2, 0.3))}
    table = against_outcomes(seen, under, real).table()
    assert table["counterfactual_mse"] == pytest.approx(np.mean([0.04 + 0.09, 0.01 + 0.09, 0.01 + 0.04]) / 2, rel=1e-4)
    assert [table[f"counterfactual_mse_action_{code}"] for code in range(3)] == pytest.approx(
        [0.01, 0.04, 0.09], rel=1e-4
    )
    degrees = 100 * np.array([0.1, 0.2, 0.3])  # pan acts, and its range is 100°
    assert table["counterfactual_position_mae"] == pytest.approx(degrees.mean(), rel=1e-4)
    h = LAYOUT.frame_height
    pairs = [((0, 1), 0.1), ((0, 2), 0.2), ((1, 2), 0.1)]  # shades differ by so much
    true = np.mean([((real.last[:, a] - real.last[:, b])[:, :, :h] ** 2).mean() for (a, b), _ in pairs])
    expected = np.mean([off**2 for _, off in pairs]) / true
    assert table["counterfactual_effect_error"] == pytest.approx(expected, rel=1e-4)


def test_who_knows_all_outcomes_is_right_and_who_ignores_the_action_misses_its_effect():
    truth, codes = draw_moments(6)
    seen = Truth(LAYOUT, truth, codes)
    real = replay(seen)
    knows = against_outcomes(seen, {code: real.last[:, code] for code in range(3)}, real).table()
    assert knows == dict.fromkeys(OUTCOME_METRICS, 0)
    ignores = against_outcomes(seen, dict.fromkeys(range(3), seen.previous), real).table()
    assert ignores["counterfactual_effect_error"] == pytest.approx(1)
    assert ignores["counterfactual_mse"] > 0


def test_only_known_outcomes_count():
    truth, codes = draw_moments(3)
    seen = Truth(LAYOUT, truth, codes)
    real = replay(seen, known=np.array([[True, True, False], [False, True, False], [False, False, False]]))
    real.last[~real.known] = np.nan
    under = {code: np.full(seen.last.shape, 0.5, np.float32) for code in range(3)}
    table = against_outcomes(seen, under, real).table()
    h = LAYOUT.frame_height

    def error(i, code):
        return ((under[code][i] - real.last[i, code])[:, :h] ** 2).mean()

    assert table["counterfactual_mse"] == pytest.approx(error(0, 1), rel=1e-4)  # the one not taken that is known
    assert table["counterfactual_mse_action_0"] == pytest.approx(error(0, 0), rel=1e-4)
    assert table["counterfactual_mse_action_1"] == pytest.approx((error(0, 1) + error(1, 1)) / 2, rel=1e-4)
    assert table["counterfactual_mse_action_2"] is None
    assert table["counterfactual_effect_error"] == pytest.approx(1)
    nothing = replay(seen, known=np.zeros((3, 3), bool))
    for unknown in (nothing, None):
        assert against_outcomes(seen, under, unknown).table() == dict.fromkeys(OUTCOME_METRICS)


@given(seed=st.integers(0, 10**6), share=st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_the_effect_error_follows_from_the_share_of_the_effect_that_is_predicted(seed, share):
    truth, codes = draw_moments(4, seed)
    seen = Truth(LAYOUT, truth, codes)
    real = replay(seen, seed)
    mean = real.last.mean(1)
    under = {code: mean + share * (real.last[:, code] - mean) for code in range(3)}
    samples = against_outcomes(seen, under, real)
    assert samples.table()["counterfactual_effect_error"] == pytest.approx((1 - share) ** 2, abs=1e-5)
    halves = [
        Samples({k: v[p] for k, v in samples.sums.items()}, {k: v[p] for k, v in samples.weights.items()})
        for p in (slice(0, 1), slice(1, 4))
    ]
    assert_same(Samples.concatenate(halves).table(), samples.table())


def test_batches_of_samples_add_up_to_the_whole():
    truth, codes = draw_moments(7)
    predicted = guesses(truth)
    cuts = (slice(0, 2), slice(2, 3), slice(3, 7))
    parts = [per_sample(Truth(LAYOUT, truth[p], codes[p]), predicted[p]) for p in cuts]
    assert_same(Samples.concatenate(parts).table(), score(truth, predicted, LAYOUT, codes))


def test_ssim_is_what_its_definition_says():
    rng = np.random.default_rng(0)
    x = rng.random((2, 3, 13, 9))
    y = (x + 0.2 * rng.standard_normal(x.shape)).clip(0, 1)
    assert ssim(similarity_map(x, y)) == pytest.approx([slow_ssim(*pair) for pair in zip(x, y, strict=True)], rel=1e-4)
    assert ssim(similarity_map(x, x)) == pytest.approx([1, 1])


def test_ssim_valid_knows_neither_padding_nor_the_other_camera():
    random = np.random.default_rng(0)
    x = random.random((2, 3, 26, 13), np.float32)
    y = (x + 0.2 * random.standard_normal(x.shape)).clip(0, 1).astype(np.float32)
    cameras = [(slice(0, 13), slice(0, 13)), (slice(13, 26), slice(0, 13))]
    alone = [[slow_ssim(a[:, rows], b[:, rows], padding=0) for rows, _ in cameras] for a, b in zip(x, y, strict=True)]
    assert ssim_valid(similarity_map(x, y), cameras) == pytest.approx(np.mean(alone, axis=1), rel=1e-4)
    small = [(slice(0, 13), slice(0, 10)), cameras[1]]
    assert ssim_valid(similarity_map(x, y), small) == pytest.approx([pair[1] for pair in alone], rel=1e-4)
    assert np.isnan(ssim_valid(similarity_map(x, y), small[:1])).all()


def test_blur_lowers_sharpness_and_noise_raises_it():
    truth, codes = draw_moments(6)
    last = slice(LAYOUT.frame_columns(-1).start, None)
    flat = truth.copy()
    flat[..., last] = 0.5
    half = truth.copy()
    half[..., last] = 0.5 * truth[..., last] + 0.25
    assert score(truth, truth, LAYOUT, codes)["sharpness"] == pytest.approx(1)
    assert score(truth, half, LAYOUT, codes)["sharpness"] == pytest.approx(0.25, rel=1e-4)
    assert score(truth, flat, LAYOUT, codes)["sharpness"] == 0
    stays = truth.copy()
    stays[codes == STAY] = flat[codes == STAY]
    assert score(truth, stays, LAYOUT, codes)["sharpness"] == pytest.approx(1), "STAY does not count"


def test_continuous_actions():
    layout = Layout(LAYOUT.cameras, LAYOUT.joints, LAYOUT.actions, patch=4, separator=4, discrete=False)
    frames = np.zeros((2, 2, 32, 16, 3), np.float32)
    positions = np.array([[[0, 10, 10], [3, 25, 10]], [[0, 10, 10], [0, 10, 10]]], float)
    actions = np.array([[[0.2, 0.9]], [[0.01, 0.0]]], np.float32)
    canvases = draw(layout, frames, positions, actions)
    codes = action_codes(actions[:, -1])
    assert codes.tolist() == [MOVE_PLUS, STAY]
    predicted = canvases.copy()
    lift = layout.strip_cells()[1]
    predicted[..., layout.frame_columns(-1)][:, :, lift[0], lift[1]] = 0.0
    table = score(canvases, predicted, layout, codes)
    assert table["acting_joint_position_mae"] == pytest.approx(12.5, rel=1e-4)  # lift 25° off, and pan right
    assert table["acting_joint_direction_accuracy"] == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t, p, a: (t[:2], p, a), "as many"),
        (lambda t, p, a: (t[:0], p[:0], a[:0]), "at least one"),
        (lambda t, p, a: (t, p[..., :-1], a), "the layout says"),
        (lambda t, p, a: (t[..., :-1], p, a), "the layout says"),
        (lambda t, p, a: (t, p * np.nan, a), "no numbers"),
    ],
)
def test_nonsense_is_refused_in_one_line(change, says):
    truth, codes = draw_moments(3)
    truth, predicted, codes = change(truth, truth.copy(), codes)
    with pytest.raises(ForearmError, match=says) as caught:
        score(truth, predicted, LAYOUT, codes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(3, 4), (16, 16), (128, 64), (50, 224)])
def test_blurred_pictures_are_those_of_scipy_to_the_last_bit(size):
    pictures = np.random.default_rng(0).random((2, 3, *size), np.float32)
    np.testing.assert_array_max_ulp(
        blurred(pictures), gaussian_filter(pictures, 1.5, radius=5, mode="constant", axes=(2, 3))
    )
