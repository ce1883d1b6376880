"""``fusion costs``: counts against hand-made ones, and what the tables hold. No time is checked."""

import json

import pytest
import torch
from torch import nn

from fusion.commands.cli import main
from fusion.commands.costs import count_flops, metric_costs, network_costs
from fusion.networks.lrrnet import LRRNet
from fusion.networks.weights import NETWORKS


class TwoConvolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 1, 1)

    def forward(self, ir, vis):
        return self.second(self.first(torch.cat([ir, vis], 1)).relu())


def test_flops_are_two_per_multiply_add():
    expected = 2 * 40 * 32 * (9 * 2 * 8 + 8)
    assert count_flops(TwoConvolutions(), (40, 32)) == expected


def test_flops_of_lrrnet_are_its_layers():
    """Every convolution's weights times the pixels; the fast path counts the same."""
    network = LRRNet().eval()
    weights = sum(
        m.weight[0].numel() * m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)
    )
    flops = count_flops(network, (64, 48))
    assert network.fast
    assert flops == pytest.approx(2 * 64 * 48 * weights, rel=0.02)


def test_the_command_prints_every_figure(capsys):
    assert main(["costs", "networks", "--size", "64x64", "--rounds", "1", "--only", "lrrnet"]) == 0
    table = capsys.readouterr().out
    assert "49,204" in table and "GFLOPs" in table
    command = ["costs", "metrics", "--size", "80x64", "--rounds", "1", "--only", "cddfuse"]
    assert main([*command, "--json", "-"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["conventions"]["cddfuse"]["metrics"]) == 12


@pytest.mark.parametrize("size", ["63x80", "640", "axb"])
def test_sizes_that_make_no_sense(size, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["costs", "metrics", "--size", size])
    assert size in capsys.readouterr().err


def test_unknown_names_are_one_line(capsys):
    assert main(["costs", "networks", "--only", "lrrnett"]) == 2
    assert "did you mean 'lrrnet'" in capsys.readouterr().err
    assert main(["costs", "metrics", "--only", "cddfus"]) == 2
    assert "did you mean 'cddfuse'" in capsys.readouterr().err


def test_results_name_everything_measured():
    networks = network_costs((32, 32), 1, ["didfuse", "ifcnn"])["networks"]
    for name, row in networks.items():
        count = sum(parameter.numel() for parameter in NETWORKS[name]().parameters())
        assert row["parameters"] == count and row["flops"] > 0 and row["seconds"] >= 0
    costs = metric_costs((80, 64), 1, ["color"])
    assert costs["size"] == [80, 64] and costs["conventions"]["color"]["together"] >= 0
