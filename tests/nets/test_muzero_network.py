"""MuZero's net: what a search asks of it is what training unrolls; frames, scales, gradients, and the backend."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hexpipe.answers import Answers
from hexpipe.config import NetSettings, Shapes
from hexpipe.errors import CheckpointError
from hexpipe.nets.backend_latent import LatentBackend
from hexpipe.nets.backend_latent_graphs import LatentGraphsBackend
from hexpipe.nets.factory import build_net, fold, load_weights, net_weights
from hexpipe.nets.muzero_network import MuZeroNet
from hexpipe.nets.net_template import ILLEGAL_LOGIT
from tests.refusals import refused

SETTINGS = NetSettings(blocks=2, channels=12, value_hidden=8, dynamics_blocks=2)
SHAPES = Shapes(5, 25, 2, 25, turns_frame=True)


@pytest.fixture
def net() -> MuZeroNet:
    """Every weight drawn, also those that start at zero."""
    return drawn(SHAPES)


def drawn(shapes: Shapes) -> MuZeroNet:
    torch.manual_seed(0)
    made = build_net(SETTINGS, shapes)
    assert isinstance(made, MuZeroNet)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.abs().sum() == 0:
                parameter.normal_(std=0.2)
    return made


def batch(count: int, steps: int, shapes: Shapes = SHAPES) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 3, (count, shapes.code_length), dtype=torch.int8, generator=generator)
    return codes, torch.randint(0, shapes.num_actions, (count, steps), generator=generator)


def test_the_unroll_is_what_a_search_sees(net: MuZeroNet) -> None:
    codes, actions = batch(6, 3)
    logits, value_logits, rewards, similarity = net(codes, actions)
    assert (logits.shape, value_logits.shape, rewards.shape) == ((6, 4, 25), (6, 4, 2), (6, 3, 2))
    assert similarity.abs().max() == 0  # nothing to hold it against
    latent, priors, values = net.initial(codes)
    taken = codes != 0
    assert (logits[:, 0][taken] == ILLEGAL_LOGIT).all()
    assert (priors[taken] == 0).all()
    assert (logits[:, 1:] > ILLEGAL_LOGIT).all()  # no rules below the root
    for step in range(4):
        torch.testing.assert_close(torch.softmax(logits[:, step], 1), priors)
        torch.testing.assert_close(2 * torch.softmax(value_logits[:, step], 1) - 1, values)
        if step == 3:
            break
        latent, priors, values, reward = net.recurrent(latent, actions[:, step])
        torch.testing.assert_close(rewards[:, step], reward)
        assert (latent.square().mean((1, 2, 3)) - 1).abs().max() < 1e-4


def test_the_next_mover_sees_the_board_transposed() -> None:
    """The same weights without turning give the same latent, not yet transposed."""
    turning, still = drawn(SHAPES), drawn(Shapes(5, 25, 2, 25, turns_frame=False))
    codes, actions = batch(4, 1)
    latent = turning.represent(codes)
    there, _ = turning.imagine(latent, actions[:, 0])
    here, _ = still.imagine(latent, actions[:, 0])
    torch.testing.assert_close(there, here.transpose(2, 3))
    assert not torch.allclose(there, here)


def test_the_next_mover_may_see_the_board_upside_down() -> None:
    flipping, still = drawn(Shapes(5, 25, 2, 25, flips_frame=True)), drawn(Shapes(5, 25, 2, 25))
    codes, actions = batch(4, 1)
    latent = flipping.represent(codes)
    there, _ = flipping.imagine(latent, actions[:, 0])
    here, _ = still.imagine(latent, actions[:, 0])
    torch.testing.assert_close(there, here.flip(2))
    assert not torch.allclose(there, here)


def test_a_swap_turns_no_frame() -> None:
    shapes = Shapes(4, 17, 2, 17, turns_frame=True)
    turning, still = drawn(shapes), drawn(Shapes(4, 17, 2, 17))
    still.dynamics = turning.dynamics
    codes, _ = batch(3, 1, shapes)
    latent = turning.represent(codes)
    actions = torch.tensor([16, 3, 16])
    there, _ = turning.imagine(latent, actions)
    here, _ = still.imagine(latent, actions)
    torch.testing.assert_close(there[[0, 2]], here[[0, 2]])
    torch.testing.assert_close(there[1], here[1].transpose(1, 2))


def test_the_action_matters_and_only_where_it_is_played(net: MuZeroNet) -> None:
    planes = net._action_planes(torch.tensor([0, 7]), torch.zeros(2, 12, 5, 5))
    assert planes.shape == (2, 2, 5, 5)
    assert planes.sum((1, 2, 3)).tolist() == [1, 1]
    assert planes[1, 0, 1, 2] == 1


def test_one_set_of_weights_for_every_board_size(net: MuZeroNet) -> None:
    large = build_net(SETTINGS, Shapes(9, 82, 2, 82, turns_frame=True))
    load_weights(large, net_weights(net))
    codes, actions = batch(2, 2, Shapes(9, 82, 2, 82))
    assert large(codes, actions)[0].shape == (2, 3, 82)


def test_weights_of_the_other_algorithm_are_refused(net: MuZeroNet) -> None:
    plain = build_net(SETTINGS.model_copy(update={"dynamics_blocks": 0}), SHAPES)
    with refused(CheckpointError, "dynamics", kind="foreign"):
        load_weights(plain, net_weights(net))


def test_folding_changes_nothing(net: MuZeroNet) -> None:
    codes, actions = batch(5, 2)
    for own, folded in zip(net(codes, actions), fold(net)(codes, actions), strict=True):
        torch.testing.assert_close(own, folded, atol=2e-5, rtol=1e-4)


def test_every_weight_learns_and_real_latents_are_only_a_target(net: MuZeroNet) -> None:
    codes, actions = batch(6, 2)
    outputs = net(codes, actions, codes[:, None].expand(-1, 2, -1))
    sum(part.sum() for part in outputs).backward()
    idle = [name for name, p in net.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert all(name.startswith("policy.swap") for name in idle)  # there is no swap here
    net.zero_grad()
    assert outputs[3].abs().max() <= 1
    latent = net.represent(codes).detach().requires_grad_()
    net._consistency(latent, codes).sum().backward()
    assert latent.grad is not None
    assert latent.grad.abs().sum() > 0
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in net.trunk.parameters())


def test_the_gradient_into_a_latent_is_halved_at_every_step(net: MuZeroNet) -> None:
    """A loss on the first imagined step alone moves the representation half as much as it would undamped."""
    codes, actions = batch(6, 1)
    net(codes, actions)[1][:, 1, 0].sum().backward()
    stem = net.trunk.stem.weight.grad.clone()
    net.zero_grad()
    latent, _ = net.imagine(net.represent(codes), actions[:, 0])
    net.predict(latent)[1][:, 0].sum().backward()
    torch.testing.assert_close(2 * stem, net.trunk.stem.weight.grad)


DEVICES = ["cpu", pytest.param("cuda:0", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def backend_of(kind: str, shapes: Shapes, rows: int, device: str) -> LatentBackend | LatentGraphsBackend:
    if kind != "graphs":
        return LatentBackend(SETTINGS, shapes, rows, "float32", device, eager=kind == "eager")
    return LatentGraphsBackend(SETTINGS, shapes, rows, "float32", device, max_batch=8)  # ten rows: two pieces


def looks_without_latents(backend: LatentBackend | LatentGraphsBackend) -> list[Callable[..., None]]:
    """The backend's calls that evaluate roots."""
    found: list[Callable[..., None]] = [lambda codes, out: backend.initial(0, codes, np.arange(len(codes)), out)]
    return [*found, backend.infer] if isinstance(backend, LatentBackend) else found


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["latent", "graphs"])
def test_backend_looks_where_the_net_does(kind: str, device: str) -> None:
    shapes = Shapes(15, 25, 3, 125, view_size=5, thumbnail=True, threats=True)
    made = drawn(shapes)
    backend = backend_of(kind, shapes, 20, device)
    backend.load(net_weights(made))
    codes, actions = batch(10, 1, shapes)
    with torch.no_grad():
        latent, *_, root_focus = made.initial(codes)
        *_, child_focus = made.recurrent(latent, actions[:, 0])
    out, rows = Answers.allocate(10, shapes, learned=True), np.arange(10)
    for ask in looks_without_latents(backend):
        out.focus[:] = -9
        ask(codes.numpy(), out._replace(rewards=None))
        assert out.focus.tolist() == root_focus.tolist()
    backend.recurrent(0, rows, actions[:, 0].numpy(), rows + 10, out)
    assert out.focus.tolist() == child_focus.tolist()
    assert len({*root_focus.tolist()}) > 2


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["latent", "eager", "graphs"])
def test_backend_runs_what_the_net_says_with_the_weights_of_the_slot(net: MuZeroNet, kind: str, device: str) -> None:
    other = drawn(SHAPES)
    with torch.no_grad():
        other.value.logits.bias += torch.tensor([1.0, -1.0])
    backend = backend_of(kind, SHAPES, 20, device)
    assert backend.pool_bytes == (20 + (kind == "graphs")) * 12 * 25 * 4  # and one that no search has
    atol = 1e-5 if device == "cpu" else 2e-3
    for slot, made in enumerate((net, other)):
        backend.load(net_weights(made), slot)
    codes, actions = batch(3, 2)
    out, rows = Answers.allocate(3, SHAPES, learned=True), np.array([4, 9, 2])
    for slot, made in enumerate((net, other)):
        with torch.no_grad():
            latent, priors, values = made.initial(codes)
            second = made.recurrent(latent, actions[:, 0])
            third = made.recurrent(second[0], actions[:, 1])
        backend.initial(slot, codes.numpy(), rows, out._replace(rewards=None))
        np.testing.assert_allclose(out.priors, priors, atol=atol)
        np.testing.assert_allclose(out.values, values, atol=atol)
        if isinstance(backend, LatentBackend):
            backend.infer(codes.numpy(), out._replace(rewards=None))
            assert np.allclose(out.values, values, atol=atol) == (slot == 0)
        for parents, children, step, (_, *expected) in ((rows, rows + 5, 0, second), (rows + 5, rows, 1, third)):
            backend.recurrent(slot, parents, actions[:, step].numpy(), children, out)
            for own, wanted in zip(out.parts(), expected, strict=True):
                np.testing.assert_allclose(own, wanted, atol=atol)


@pytest.mark.parametrize("device", DEVICES)
def test_graphs_touch_the_rows_of_their_requests_alone(net: MuZeroNet, device: str) -> None:
    """Batches are padded: what pads them must not write into a search's latents. And a load must leave the other set of
    weights, and the latents, as they are."""
    other = drawn(SHAPES)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
    backend, plain = (backend_of(kind, SHAPES, 60, device) for kind in ("graphs", "latent"))
    for each in (backend, plain):
        each.load(net_weights(net), 0)
        each.load(net_weights(net), 1)
    rng = np.random.default_rng(0)
    outs = {each: Answers.allocate(20, SHAPES, learned=True) for each in (backend, plain)}
    for turn in range(12):
        count, slot = int(rng.integers(1, 20)), turn % 2
        codes, actions = batch(count, 1)
        places = rng.permutation(60)
        parents, rows = places[:count], places[count : 2 * count]
        if turn == 6:
            backend.load(net_weights(other), 1)
            plain.load(net_weights(other), 1)
        for each, out in outs.items():
            each.initial(slot, codes.numpy(), parents, out.at(slice(count))._replace(rewards=None))
            each.recurrent(slot, parents, actions[:, 0].numpy(), rows, out.at(slice(count)))
        for own, wanted in zip(*(out.parts() for out in outs.values()), strict=True):
            np.testing.assert_allclose(own[:count], wanted[:count], atol=1e-5 if device == "cpu" else 2e-3)
        torch.testing.assert_close(backend.pool[:60], plain.pool, atol=1e-5 if device == "cpu" else 2e-3, rtol=0)
    assert plain.pool.any()
