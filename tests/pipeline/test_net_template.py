import pytest

from hexpipe.config import PRESETS, NetSettings, Shapes, load_settings
from hexpipe.nets.factory import build_net, net_weights
from hexpipe.pipeline.net_template import net_template, num_parameters


@pytest.mark.parametrize(
    "settings",
    [
        *(load_settings(p).net for p in PRESETS),
        *(load_settings(p, {"net.backbone": "transformer"}).net for p in PRESETS),
        NetSettings(blocks=1, channels=8),
        NetSettings(backbone="transformer", blocks=2, channels=32, heads=4, kv_latent=12, ffn_multiplier=3),
    ],
)
def test_template_is_that_of_the_real_net(settings: NetSettings) -> None:
    shapes = Shapes(5, 25, 2, 25)
    weights = net_weights(build_net(settings, shapes))
    template = net_template(settings, shapes.num_seats)
    assert dict(template) == {name: array.shape for name, array in weights.items()}
    assert num_parameters(template) == sum(array.size for array in weights.values())
