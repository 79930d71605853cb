"""Planes that a game declares, boards that are no square, several actions a cell: the same in every backend."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from hexpipe.answers import Answers
from hexpipe.config import NUMBERS, NetSettings, Plane, Shapes
from hexpipe.nets.backend_cuda_graphs import CudaGraphsBackend
from hexpipe.nets.backend_latent import LatentBackend
from hexpipe.nets.backend_torch import EagerBackend, FrozenBackend
from hexpipe.nets.backend_winograd import WinogradBackend
from hexpipe.nets.choose_backend import random_codes
from hexpipe.nets.factory import InferenceNet, build_net, folded_muzero_net, net_weights
from hexpipe.nets.net_template import check_shapes, net_template
from hexpipe.nets.plain_net import edge_planes, legal_codes
from hexpipe.nets.plain_net import expand_codes as plain_planes
from hexpipe.nets.planes import expand_codes, float16_numbers, illegal_mask

STONES = (Plane(0, 1), Plane(0, 2), Plane(0, 0))


def declared(rows: int, columns: int, kinds: int, others: int, layers: int = 1, seats: int = 2) -> Shapes:
    """Shapes of ``kinds`` actions a cell and ``others`` beside, of ``layers`` of cell codes and one code for all."""
    cells = rows * columns
    actions = kinds * cells + others
    planes = (*STONES, *(Plane(layer * cells, 3) for layer in range(1, layers)), Plane(layers * cells, 1, whole=True))
    return Shapes(
        board_size=rows,
        board_width=columns,
        num_actions=actions,
        num_seats=seats,
        code_length=layers * cells + 1 + actions,
        cell_actions=kinds,
        declared=planes,
    )


def numbers(rows: int, columns: int, planes: int, actions: int, whole: bool = False) -> Shapes:
    """Shapes of ``planes`` float16 planes, then a code for all, and of ``actions`` that are no cell."""
    step = 2 if whole else 2 * rows * columns
    length = planes * step + 1 + actions
    shown = [Plane(number * step, NUMBERS, whole) for number in range(planes)]
    return Shapes(
        board_size=rows,
        board_width=columns,
        num_actions=actions,
        num_seats=2,
        code_length=length,
        cell_actions=0,
        declared=(*shown, Plane(planes * step, 1, whole=True)),
    )


CASES = {
    "connect four": declared(6, 7, 1, 0),
    "three to a cell": declared(8, 8, 3, 0, layers=2),
    "wide": declared(4, 13, 2, 3, layers=3, seats=3),
    "tall": declared(19, 5, 1, 1),
    "dense": declared(5, 6, 0, 41),
    "numbers": numbers(8, 8, 3, 500),
    "a vector": numbers(1, 1, 14, 7, whole=True),
}
RESIDUAL = NetSettings(blocks=3, channels=24, value_hidden=16)
TRANSFORMER = NetSettings(backbone="transformer", blocks=2, channels=16, value_hidden=16)
BACKENDS = {"eager": EagerBackend, "frozen": FrozenBackend, "winograd": WinogradBackend}


def shaken(settings: NetSettings, shapes: Shapes) -> torch.nn.Module:
    torch.manual_seed(1)
    net = build_net(settings, shapes)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        (net.policy.cell_logits if shapes.cell_actions else net.policy.logits).weight.mul_(10)
    return net


@pytest.mark.parametrize("name", CASES)
def test_planes_are_comparisons_of_codes_with_a_ring_around_the_last(name: str) -> None:
    shapes = CASES[name]
    codes = random_codes(shapes, 5)
    height, width = shapes.view_size, shapes.view_width
    wanted = np.zeros((5, len(shapes.declared) + 1, height + 2, width + 2), np.float32)
    for board, number, row, column in np.ndindex(wanted.shape):
        i, j = row - 1, column - 1
        if not (0 <= i < height and 0 <= j < width):
            wanted[board, number, row, column] = number == len(shapes.declared)
        elif number < len(shapes.declared):
            plane = shapes.declared[number]
            at = plane.at if plane.whole else plane.at + i * width + j
            if plane.code == NUMBERS:
                at = plane.at if plane.whole else plane.at + 2 * (i * width + j)
                wanted[board, number, row, column] = np.frombuffer(codes[board, at : at + 2].tobytes(), "<f2")[0]
            else:
                wanted[board, number, row, column] = codes[board, at] == plane.code
    assert shapes.num_planes == wanted.shape[1]
    np.testing.assert_array_equal(expand_codes(torch.from_numpy(codes), shapes).numpy(), wanted)
    np.testing.assert_array_equal(plain_planes(codes, shapes, edge_planes(shapes)), wanted)
    listed = codes[:, -shapes.num_actions :] == 1
    np.testing.assert_array_equal(legal_codes(codes, shapes), listed)
    np.testing.assert_array_equal(illegal_mask(torch.from_numpy(codes), shapes).numpy(), ~listed)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["eager", "frozen", "winograd", "openvino", "cuda_graphs"])
@pytest.mark.parametrize("backbone", [RESIDUAL, TRANSFORMER], ids=["resnet", "transformer"])
def test_every_backend_equals_the_training_net(name: str, kind: str, backbone: NetSettings) -> None:
    if kind == "winograd" and backbone is TRANSFORMER:
        pytest.skip("Winograd's kernels run residual nets alone")
    shapes, net = CASES[name], shaken(backbone, CASES[name])
    if kind == "openvino":
        pytest.importorskip("openvino")
        from hexpipe.nets.backend_openvino import OpenVinoBackend

        backend = OpenVinoBackend(backbone, shapes)
    elif kind == "cuda_graphs":
        backend = CudaGraphsBackend(backbone, shapes, "float32", "cpu", max_batch=16)
    else:
        backend = BACKENDS[kind](backbone, shapes)
    backend.load(net_weights(net))
    codes = random_codes(shapes, 40, seed=3)
    with torch.no_grad():
        priors, values = (part.numpy() for part in InferenceNet(net)(torch.from_numpy(codes)))
    out = Answers.allocate(40, shapes)
    backend.infer(codes, out)
    assert priors.max() > 2 / shapes.num_actions, "answers that vary"
    np.testing.assert_allclose(out.priors, priors, atol=1e-4)
    np.testing.assert_allclose(out.values, values, atol=1e-4)
    assert (priors[codes[:, -shapes.num_actions :] != 1] == 0).all()


@pytest.mark.parametrize("name", CASES)
def test_learned_dynamics_see_which_action_of_which_cell(name: str) -> None:
    shapes = CASES[name]
    settings = RESIDUAL.model_copy(update={"dynamics_blocks": 1})
    net = shaken(settings, shapes)
    backend = LatentBackend(settings, shapes, rows=4 + shapes.num_actions)
    backend.load(net_weights(net))
    codes, roots, every = random_codes(shapes, 1), np.zeros(1, np.int64), np.arange(shapes.num_actions)
    backend.initial(0, codes, roots, Answers.allocate(1, shapes))
    out = Answers.allocate(shapes.num_actions, shapes, learned=True)
    backend.recurrent(0, np.zeros_like(every), every, 1 + every, out)
    plain = folded_muzero_net(settings, shapes, net_weights(net))
    with torch.no_grad():
        latent = plain.initial(torch.from_numpy(codes))[0]
        _, priors, values, rewards = plain.recurrent(latent.expand(len(every), -1, -1, -1), torch.from_numpy(every))
    np.testing.assert_allclose(out.priors, priors.numpy(), atol=1e-4)
    np.testing.assert_allclose(out.values, values.numpy(), atol=1e-4)
    np.testing.assert_allclose(out.rewards, rewards.numpy(), atol=1e-4)
    told = np.hstack((out.priors, out.values, out.rewards)).round(6)
    assert len(np.unique(told, axis=0)) == len(every), "two actions look alike"


@pytest.mark.parametrize("dynamics", [0, 1])
@pytest.mark.parametrize("name", CASES)
def test_the_template_names_every_weight(name: str, dynamics: int) -> None:
    settings = RESIDUAL.model_copy(update={"dynamics_blocks": dynamics})
    own = {key: tuple(part.shape) for key, part in build_net(settings, CASES[name]).state_dict().items()}
    assert own == dict(net_template(settings, CASES[name]))


def test_shapes_come_back_from_json() -> None:
    for shapes in CASES.values():
        assert Shapes(**json.loads(json.dumps(asdict(shapes)))) == shapes


@pytest.mark.parametrize(
    "shapes",
    [
        Shapes(3, 9, 2, 18, declared=(Plane(10, 1),)),  # past the codes
        Shapes(3, 9, 2, 8, declared=(Plane(0, 1, whole=True),)),  # too few codes to say what is legal
        Shapes(3, 9, 2, 18, declared=(Plane(0, 1),), turns_frame=True),
        Shapes(3, 9, 2, 18, cell_actions=2, declared=(Plane(0, 1),)),  # fewer actions than cells have
        Shapes(3, 18, 2, 18, cell_actions=2),  # of planes that are not declared
        Shapes(3, 9, 2, 9, turns_frame=True, flips_frame=True),
        Shapes(3, 11, 2, 11),  # two actions that are no cell
    ],
)
def test_shapes_that_planes_cannot_show_are_refused(shapes: Shapes) -> None:
    with pytest.raises(ValueError, match="do not show"):
        check_shapes(shapes)


def test_every_finite_float16_number_comes_out_as_it_is() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)].reshape(1, -1)
    codes, wanted = every.view(np.int8), every.astype(np.float32)
    np.testing.assert_array_equal(float16_numbers(torch.from_numpy(codes)).numpy(), wanted)
    openvino = pytest.importorskip("openvino")
    from hexpipe.nets.backend_openvino import _core, _numbers, ops

    asked = ops.parameter([-1, codes.shape[1]], np.int8, "codes")
    model = openvino.Model([_numbers(asked, wanted.shape[1])], [asked], "numbers")
    answered = _core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(codes)[0]
    np.testing.assert_array_equal(answered, wanted)
