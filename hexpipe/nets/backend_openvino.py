"""The net on a CPU by OpenVINO.

The graph is built from the folded weights in milliseconds, without tracing or converting, so that new weights cost only
a compilation (about 0.1 s for 6 blocks of 64 channels). It imports no torch.

OpenVINO is optional: the extra ``openvino``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops

from hexpipe.answers import Answers, answer_fields
from hexpipe.config import NUMBERS, NetSettings, Shapes
from hexpipe.nets.backends import write_outputs
from hexpipe.nets.net_template import FULL_BUCKET, ILLEGAL_LOGIT, check_shapes, dense_hidden
from hexpipe.nets.openvino_trunks import Layers, over_cells, pooled, recalled, residual_trunk, transformer_trunk
from hexpipe.nets.plain_net import Weights, edge_planes, folded_weights, middle_first

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


@functools.cache
def _core() -> openvino.Core:
    """Return the one core of this process, which is never let go.

    With AVX-512 a core's first net sets this thread's alternate signal stack (2026.4.1), and its end puts back what was
    there before: of several cores that end, one puts back another's, which is gone, and the next signal ends the
    process.
    """
    return openvino.Core()


class OpenVinoBackend:
    """The net on one thread in latency mode; inputs are int8 codes, planes are made in the graph; any batch size."""

    name = "openvino"

    def __init__(self, settings: NetSettings, shapes: Shapes, dtype: str = "float32", device: str = "cpu") -> None:
        if device != "cpu" or dtype not in PRECISIONS:
            raise ValueError(f"OpenVINO runs float32 or bfloat16 on the CPU here, not {dtype} on {device}")
        check_shapes(shapes)
        self.dtype = dtype
        self._settings, self._shapes = settings, shapes
        self._request = self._compiled(None)

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._request = self._compiled(weights)

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        self._request.infer([codes], share_inputs=True)
        outputs = (self._request.get_output_tensor(i).data for i in range(len(answer_fields(self._shapes))))
        write_outputs(Answers.named(outputs, self._shapes), out, self.name)

    def _compiled(self, weights: Weights | None) -> Any:
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": 1,
            "ENABLE_CPU_PINNING": False,  # several pinned one-thread processes would share a core
            "INFERENCE_PRECISION_HINT": PRECISIONS[self.dtype],
        }
        layers = Layers(folded_weights(self._settings, self._shapes, weights))
        graph = _graph(layers, self._settings, self._shapes)
        return _core().compile_model(graph, "CPU", options).create_infer_request()


def _graph(layers: Layers, settings: NetSettings, shapes: Shapes) -> Any:
    """Build the graph of `factory.InferenceNet` from folded weights.

    Codes int8 [?, C] -> priors float32 [?, A], values float32 [?, S], and with a thumbnail focus int32 [?].
    """
    codes = ops.parameter([-1, shapes.code_length], np.int8, "codes")
    planes = _planes(codes, shapes)
    if settings.backbone == "transformer":
        x = transformer_trunk(layers, planes, settings, shapes.view_size, shapes.view_width)
    else:
        x = residual_trunk(layers, planes, settings)
    features = pooled(x)
    if settings.engram:
        features = recalled(layers, features)
    if shapes.cell_actions:
        logits = _cell_logits(layers, "policy", x, features, shapes.cell_actions * shapes.view_cells)
    else:
        hidden = _cell_features(layers, "policy", x, features)
        wide = dense_hidden(settings.channels, shapes) * shapes.view_cells
        logits = layers.linear(ops.reshape(hidden, np.array([0, wide]), True), "policy.logits")
    if shapes.cell_actions and shapes.num_others:
        swap = layers.linear(ops.relu(layers.linear(features, "policy.swap_hidden")), "policy.swap_logit")
        logits = ops.concat([logits, swap], 1)
    # plain_net.legal_codes
    legal_code = np.ones((1, shapes.num_actions), np.int8)
    first = shapes.code_length - shapes.num_actions if shapes.declared else 0
    if not shapes.declared:
        legal_code[:, : shapes.view_cells] = 0
    legal = ops.equal(_columns(codes, first, first + shapes.num_actions), ops.constant(legal_code))
    priors = ops.softmax(ops.select(legal, logits, ops.constant(np.float32(ILLEGAL_LOGIT))), 1)
    value_logits = layers.linear(ops.relu(layers.linear(features, "value.hidden")), "value.logits")
    # heads.value_from_logits
    if shapes.num_seats == 2:
        values = ops.subtract(ops.multiply(ops.softmax(value_logits, 1), np.float32(2)), np.float32(1))
    else:
        values = ops.tanh(ops.multiply(value_logits, np.float32(0.5)))
    outputs = [priors, values]
    if shapes.thumbnail:
        looks = _cell_logits(layers, "side.focus", x, features, shapes.view_cells)
        looks = ops.subtract(looks, ops.constant(middle_first(shapes.view_size)[None]))
        highest = ops.topk(looks, np.int32(1), 1, "max", "value", "i32", stable=True).output(1)
        outputs.append(ops.squeeze(highest, np.array([1])))
    return openvino.Model(outputs, [codes], "hexpipe")


def _cell_logits(layers: Layers, name: str, x: Any, features: Any, cells: int) -> Any:
    """Build `heads.CellHead`."""
    hidden = _cell_features(layers, name, x, features)
    return ops.reshape(layers.conv(hidden, f"{name}.cell_logits", 0), np.array([0, cells]), True)


def _cell_features(layers: Layers, name: str, x: Any, features: Any) -> Any:
    """Build `heads.CellFeatures`."""
    pool_bias = over_cells(layers.linear(features, f"{name}.pool_bias"))
    return ops.relu(ops.add(layers.conv(x, f"{name}.conv", 0), pool_bias))


def _planes(codes: Any, shapes: Shapes) -> Any:
    """Build `planes.expand_codes`."""
    rows, columns = shapes.view_size, shapes.view_width
    planes = []
    for declared in shapes.planes:
        own = declared.codes(shapes.view_cells)
        shown = _columns(codes, own.start, own.stop)
        if declared.code == NUMBERS:
            plane = _numbers(shown, (own.stop - own.start) // 2)
        else:
            plane = ops.convert(ops.equal(shown, np.int8(declared.code)), np.float32)
        if declared.whole:
            plane = ops.multiply(ops.unsqueeze(plane, np.array([2, 3])), np.ones((1, 1, rows, columns), np.float32))
        else:
            plane = ops.reshape(plane, np.array([0, 1, rows, columns]), True)
        planes.append(plane)
    if shapes.thumbnail:
        small = ops.convert(_columns(codes, shapes.num_actions, shapes.code_length), np.float32)
        small = ops.reshape(small, np.array([0, shapes.num_seats + 1, rows, columns]), True)
        scale = np.ones((1, shapes.num_seats + 1, 1, 1), np.float32)
        scale[:, :-1] /= np.float32(FULL_BUCKET)
        planes.append(ops.multiply(small, scale))
    ring = np.array([0, 0, 1, 1])
    padded = ops.pad(ops.concat(planes, 1), ring, ring, "constant", np.float32(0))
    return ops.add(padded, ops.constant(edge_planes(shapes)))


def _numbers(codes: Any, count: int) -> Any:
    """Build the float16 numbers of codes int8 [?, 2 * count] as float32 [?, count].

    OpenVINO reads no bytes as a number. But of all numbers with the same higher byte each is a first one and as many
    steps as the lower byte says.
    """
    places = ops.add(ops.convert(codes, np.int32), ops.constant(np.int32(128)))
    pairs = ops.reshape(places, np.array([0, count, 2]), True)
    low, high = (ops.squeeze(part, np.array([2])) for part in ops.split(pairs, np.int64(2), 2).outputs())
    lowest = (np.arange(-128, 128).astype(np.int8).view(np.uint8).astype(np.uint16) << 8).view(np.float16)
    following = (lowest.view(np.uint16) + np.uint16(1)).view(np.float16)
    with np.errstate(invalid="ignore"):  # what is not finite stays so
        steps = following.astype(np.float32) - lowest.astype(np.float32)
    unsigned = np.arange(-128, 128).astype(np.int8).view(np.uint8).astype(np.float32)
    first, axis = ops.constant(lowest.astype(np.float32)), np.int64(0)
    more = ops.multiply(ops.gather(ops.constant(steps), high, axis), ops.gather(ops.constant(unsigned), low, axis))
    return ops.add(ops.gather(first, high, axis), more)


def _columns(codes: Any, first: int, last: int) -> Any:
    return ops.slice(codes, np.array([first]), np.array([last]), np.array([1]), np.array([1]))
