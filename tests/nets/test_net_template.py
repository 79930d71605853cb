import pytest

from hexpipe.config import PRESETS, NetSettings, Shapes, load_settings
from hexpipe.nets.factory import build_net, net_weights
from hexpipe.nets.net_template import net_template, num_parameters

NETS = [
    *(load_settings(preset).net for preset in PRESETS),
    *(load_settings(preset, {"net.backbone": "transformer"}).net for preset in PRESETS),
    NetSettings(blocks=1, channels=8),
    NetSettings(blocks=1, channels=8, dynamics_blocks=3),
    NetSettings(blocks=1, channels=8, engram=30),
    NetSettings(blocks=1, channels=8, engram=30, dynamics_blocks=1),
    NetSettings(backbone="transformer", blocks=2, channels=32, heads=4, kv_latent=12, ffn_multiplier=3),
]


SHAPES = {
    "plain": Shapes(5, 25, 2, 25),
    "threats": Shapes(5, 25, 3, 25, threats=True),
    "thumbnail": Shapes(9, 25, 3, 125, view_size=5, thumbnail=True, threats=True),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("settings", NETS)
def test_template_is_that_of_the_real_net(settings: NetSettings, name: str) -> None:
    shapes = SHAPES[name]
    weights = net_weights(build_net(settings, shapes))
    template = net_template(settings, shapes)
    assert dict(template) == {name: array.shape for name, array in weights.items()}
    assert num_parameters(template) == sum(array.size for array in weights.values())
