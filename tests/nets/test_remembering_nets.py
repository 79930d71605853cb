"""Nets that own a memory: every way in which weights travel and nets are run keeps it, and answers from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hexpipe.answers import Answers
from hexpipe.config import InferenceSettings, NetSettings, Settings, Shapes, load_settings
from hexpipe.errors import CheckpointError
from hexpipe.games.factory import make_game
from hexpipe.inference.simple_model_inference import SimpleModelInference
from hexpipe.inference.weights import WeightsBoard
from hexpipe.nets.backend_cuda_graphs import CudaGraphsBackend
from hexpipe.nets.backend_latent import LatentBackend
from hexpipe.nets.backend_torch import EagerBackend, FrozenBackend
from hexpipe.nets.backend_winograd import WinogradBackend
from hexpipe.nets.backends import Backend
from hexpipe.nets.checkpoints import checkpoint_meta, save_checkpoint
from hexpipe.nets.choose_backend import choose_backend, random_codes
from hexpipe.nets.factory import InferenceNet, Net, build_net, fold, load_weights, net_weights
from hexpipe.nets.net_template import KEY_SIZE, memory_bytes, net_template
from tests.refusals import refused

ENTRIES = 40
HEX = NetSettings(blocks=2, channels=16, value_hidden=16, engram=ENTRIES)
MUZERO = HEX.model_copy(update={"dynamics_blocks": 1})
SHAPES = Shapes(5, 25, 2, 25, turns_frame=True)
THREE_SEATS = make_game(
    load_settings("quick", {"game.name": "inarow", "game.players": 3, "game.board_size": 5, "game.win_length": 4}).game
).shapes


def remembering(settings: NetSettings, shapes: Shapes, seed: int = 1, entries: int = ENTRIES) -> Net:
    """A net away from its start that remembers random boards as won or lost, and trusts its memory."""
    torch.manual_seed(seed)
    net = build_net(settings, shapes)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        assert net.engram is not None
        net.engram.gate.fill_(1.0)
        net.engram.log_sharpness.fill_(3.0)
        net.root_logits(torch.from_numpy(random_codes(shapes, max(1, entries), seed + 10)))
        assert net.engram.queries is not None
        keys = net.engram.queries[:entries]
        keys = keys + 0.05 * torch.randn_like(keys)  # equal boards among them would be equally near
        values = torch.randn(entries, shapes.num_seats).sign()
        priorities = torch.rand(entries) + 0.2
        net.engram.write(keys, values, priorities, torch.arange(entries))
    return net


def codes_of(shapes: Shapes, count: int = 12) -> torch.Tensor:
    return torch.from_numpy(random_codes(shapes, count, 5))


def answers(net: Net, codes: torch.Tensor) -> list[torch.Tensor]:
    """Priors and values as a search gets them, of roots."""
    with torch.no_grad():
        if net.settings.dynamics_blocks:
            return list(net.initial(codes)[1:])
        return list(InferenceNet(net)(codes))


def check_memory_matters(net: Net, codes: torch.Tensor) -> None:
    """What the next lines compare would differ if the memory were lost, even a single entry of it."""
    with_memory = answers(net, codes)[1]
    assert net.engram is not None
    kept = net.engram.values.clone()
    net.engram.values[::2] *= -1
    assert (answers(net, codes)[1] - with_memory).abs().amax() > 0.01
    net.engram.values.copy_(kept)


@pytest.mark.parametrize("settings", [HEX, MUZERO], ids=["hexnet", "muzero"])
def test_no_entries_are_exactly_the_net_without(settings: NetSettings) -> None:
    nets = []
    for entries in (0, ENTRIES):
        torch.manual_seed(3)
        nets.append(build_net(settings.model_copy(update={"engram": entries}), SHAPES))
    without, fresh = nets
    assert without.engram is None
    weights, plain = fresh.state_dict(), without.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in plain.items())
    assert all(name.startswith("engram.") for name in weights.keys() - plain.keys())
    codes = codes_of(SHAPES)
    for one, other in zip(answers(without, codes), answers(fresh, codes), strict=True):
        assert torch.equal(one, other)  # nothing is remembered yet, and the gate is closed


@pytest.mark.parametrize("shapes", [SHAPES, THREE_SEATS], ids=["hex", "three-seats"])
@pytest.mark.parametrize("settings", [HEX, MUZERO], ids=["hexnet", "muzero"])
def test_folding_and_loading_keep_the_memory(settings: NetSettings, shapes: Shapes) -> None:
    net, codes = remembering(settings, shapes), codes_of(shapes)
    check_memory_matters(net, codes)
    loaded = remembering(settings, shapes, seed=2)
    load_weights(loaded, net_weights(net))
    for other in (fold(net), loaded, fold(loaded)):
        for one, two in zip(answers(net, codes), answers(other, codes), strict=True):
            torch.testing.assert_close(two, one, atol=2e-5, rtol=1e-4)
        assert net.engram is not None
        assert other.engram is not None
        for name, buffer in net.engram.named_buffers():
            assert torch.equal(buffer, other.engram.get_buffer(name)), name


def test_the_memory_serves_another_board_size() -> None:
    net = remembering(HEX, SHAPES)
    larger = Shapes(7, 50, 2, 50, turns_frame=True)
    other = build_net(HEX, larger)
    load_weights(other, net_weights(net))
    check_memory_matters(other, codes_of(larger))


def test_memories_of_other_sizes_are_refused() -> None:
    weights = net_weights(remembering(HEX, SHAPES))
    with refused(CheckpointError, "engram.", kind="foreign"):
        load_weights(build_net(HEX.model_copy(update={"engram": 0}), SHAPES), weights)
    with refused(CheckpointError, "engram.", "(40", kind="foreign"):
        load_weights(build_net(HEX.model_copy(update={"engram": 50}), SHAPES), weights)


def test_the_weights_board_carries_the_memory() -> None:
    net, codes = remembering(HEX, SHAPES), codes_of(SHAPES)
    board = WeightsBoard.create(net_template(HEX, SHAPES), private=True)
    board.publish(1, net_weights(net))
    read = board.read_if_newer(0)
    assert read is not None
    other = build_net(HEX, SHAPES)
    load_weights(other, read[1])
    for one, two in zip(answers(net, codes), answers(other, codes), strict=True):
        assert torch.equal(one, two)


def test_bytes_are_told_without_torch() -> None:
    for shapes in (SHAPES, THREE_SEATS):
        engram = remembering(HEX, shapes).engram
        assert engram is not None
        assert engram.memory_bytes == memory_bytes(HEX, shapes)
        assert engram.keys.shape[1] == KEY_SIZE
    assert memory_bytes(HEX.model_copy(update={"engram": 0}), SHAPES) == 0


# Backends


def make(name: str, shapes: Shapes, settings: NetSettings = HEX, dtype: str = "float32") -> Backend:
    if name == "openvino":
        pytest.importorskip("openvino")
        from hexpipe.nets.backend_openvino import OpenVinoBackend

        return OpenVinoBackend(settings, shapes, dtype)
    if name == "cuda_graphs":
        return CudaGraphsBackend(settings, shapes, dtype, "cpu", max_batch=16)
    if name == "latent":
        return LatentBackend(settings, shapes, 1, dtype)
    kinds = {"eager": EagerBackend, "frozen": FrozenBackend, "winograd": WinogradBackend}
    return kinds[name](settings, shapes, dtype)


def check_answers(backend: Backend, net: Net, shapes: Shapes, **tolerance: float) -> None:
    for count in (1, 12, 40):
        codes = codes_of(shapes, count)
        out = Answers.allocate(count, shapes)
        backend.infer(codes.numpy(), out)
        for own, wanted in zip(out.parts(), answers(net, codes), strict=True):
            np.testing.assert_allclose(own, wanted, **tolerance)


@pytest.mark.parametrize("entries", [0, 3, 25, ENTRIES])
@pytest.mark.parametrize("name", ["eager", "frozen", "winograd", "openvino", "cuda_graphs", "latent"])
def test_every_backend_answers_from_the_memory(name: str, entries: int) -> None:
    settings = MUZERO if name == "latent" else HEX
    backend = make(name, SHAPES, settings)
    for seed in (1, 2):  # the second memory must leave nothing of the first
        net = remembering(settings, SHAPES, seed, entries)
        if entries:
            check_memory_matters(net, codes_of(SHAPES))
        backend.load(net_weights(net))
        check_answers(backend, net, SHAPES, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["eager", "frozen", "openvino"])
def test_backends_remember_for_three_seats(name: str) -> None:
    net = remembering(HEX, THREE_SEATS)
    backend = make(name, THREE_SEATS)
    backend.load(net_weights(net))
    check_answers(backend, net, THREE_SEATS, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["eager", "frozen", "openvino", "cuda_graphs"])
def test_bfloat16_reads_the_memory_too(name: str) -> None:
    """Where near entries are told apart no more, one wrong answer of five hardly matters; all of them would."""
    net = remembering(HEX, SHAPES)
    assert net.engram is not None
    net.engram.values[:, 0] = net.engram.values[:, 0].abs()
    net.engram.values[:, 1] = -net.engram.values[:, 0]
    backend = make(name, SHAPES, HEX, "bfloat16")
    backend.load(net_weights(net))
    check_answers(backend, net, SHAPES, atol=0.05, rtol=0)


def test_a_search_reads_the_memory_at_its_root_only() -> None:
    net, codes = remembering(MUZERO, SHAPES), codes_of(SHAPES)
    actions = torch.randint(0, 25, (len(codes), 2))
    with torch.no_grad():
        logits, values, rewards, _ = net(codes, actions)
        latent, priors, root_values = net.initial(codes)
        torch.testing.assert_close(torch.softmax(logits[:, 0], 1), priors)
        torch.testing.assert_close(2 * torch.softmax(values[:, 0], 1) - 1, root_values)
        assert net.engram is not None
        net.engram.clear()
        forgotten = net(codes, actions)
        assert (forgotten[1][:, 0] - values[:, 0]).abs().max() > 0.01
        assert torch.equal(forgotten[0][:, 1:], logits[:, 1:])
        assert torch.equal(forgotten[1][:, 1:], values[:, 1:])
        assert torch.equal(forgotten[2], rewards)
        torch.testing.assert_close(2 * torch.softmax(values[:, 1], 1) - 1, net.recurrent(latent, actions[:, 0])[2])


def test_a_game_of_its_own_is_not_read_in_training() -> None:
    for settings in (HEX, MUZERO):
        net = remembering(settings, SHAPES)
        codes = torch.from_numpy(random_codes(SHAPES, ENTRIES, 11))  # the very boards that are remembered
        more = (torch.zeros(ENTRIES, 1, dtype=torch.int64), None) if settings.dynamics_blocks else ()
        with torch.no_grad():
            own, stranger, at_play = (
                net(codes, *more, games)[1] for games in (torch.arange(ENTRIES), torch.full((ENTRIES,), 999), None)
            )
        assert torch.equal(stranger, at_play)
        assert (own - at_play).abs().max() > 0.01


def test_the_chosen_backend_and_the_library_class_remember(tmp_path: Path) -> None:
    settings: Settings = load_settings("quick", {f"net.{name}": value for name, value in HEX.model_dump().items()})
    net = remembering(HEX, SHAPES)
    weights = net_weights(net)
    choice = choose_backend(HEX, SHAPES, InferenceSettings(), "cpu", [8], budget_seconds=0.0)
    choice.backend.load(weights)
    check_answers(choice.backend, net, SHAPES, atol=0.05, rtol=0)
    path = save_checkpoint(tmp_path, {"ema": weights, "model": weights}, checkpoint_meta(settings, SHAPES, 3))
    eager = InferenceSettings(backend="eager", dtype="float32")
    model = SimpleModelInference(path, inference=eager)
    board = codes_of(SHAPES, 1)
    board[:] = 0
    _, value_logit = model.simple_infer(np.zeros((5, 5), np.int8))
    mine = answers(net, board)[1][0, 0].item()
    assert 2 / (1 + np.exp(-value_logit)) - 1 == pytest.approx(mine, abs=1e-3)
