import pytest
import torch
from torch import nn

from xseg.training.batch_norm import SharedBatchNorm2d, choose_statistics
from xseg.training.options.task import TaskOptions


@pytest.mark.parametrize(
    ("policy", "pretrained", "images", "frozen"),
    [
        ("auto", True, 7, True),
        ("auto", True, 8, False),
        ("auto", False, 2, False),
        ("frozen", False, 64, True),
        ("train", True, 1, False),
    ],
)
def test_the_policy(policy, pretrained, images, frozen):
    choice = choose_statistics(TaskOptions(batch_norm=policy), pretrained=pretrained, normalised_together=images)
    assert choice.frozen == frozen
    assert "\n" not in choice.reason


def test_the_threshold_is_an_option_and_the_reason_names_it():
    options = TaskOptions(batch_norm_threshold=4)
    assert "at least 4" in choose_statistics(options, pretrained=True, normalised_together=4).reason
    assert "3 images are normalised together, fewer than 4" in (
        choose_statistics(options, pretrained=True, normalised_together=3).reason
    )


@pytest.fixture
def alone():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_alone_the_shared_normalisation_is_the_plain_one(alone):
    """Outputs, gradients and running statistics, over three steps; processes together are tested in test_processes."""
    torch.manual_seed(0)
    plain, shared = nn.BatchNorm2d(5, eps=1e-3, momentum=0.3), SharedBatchNorm2d(5, eps=1e-3, momentum=0.3)
    for layer in (plain, shared):
        nn.init.uniform_(layer.weight, 0.5, 2, generator=torch.Generator().manual_seed(1))
        nn.init.uniform_(layer.bias, -1, 1, generator=torch.Generator().manual_seed(2))
    for _ in range(3):
        images = (3 * torch.randn(4, 5, 6, 7) + 1).requires_grad_()
        copies = images.detach().clone().requires_grad_()
        outputs = plain(images), shared(copies)
        torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
        for output in outputs:
            (output**3).sum().backward()
        torch.testing.assert_close(images.grad, copies.grad, rtol=1e-3, atol=1e-3)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(plain.weight.grad, shared.weight.grad, rtol=1e-4, atol=1e-3)
    plain.eval(), shared.eval()
    torch.testing.assert_close(plain(images), shared(images), rtol=1e-4, atol=1e-5)
