"""Which parameters learn how fast, and which decay."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from xseg.training.options import OptimizerOptions


def parameter_groups(model: nn.Module, options: OptimizerOptions) -> list[dict[str, Any]]:
    """Split the trainable parameters of a model by learning rate and by weight decay.

    Args:
        model: has its encoder as `encoder`, as all of ours and SMP's have.
        options: the rates and the decay.

    Returns:
        Groups for a torch optimiser, each with a `name`, none of them empty: every parameter is in exactly one.
    """
    encoder = getattr(model, "encoder", None)
    in_encoder = {id(parameter) for parameter in encoder.parameters()} if isinstance(encoder, nn.Module) else set()
    encoder_lr = options.lr if options.encoder_lr is None else options.encoder_lr
    decaying = _decaying_parameters(model)
    groups: dict[str, dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        decays, encodes = id(parameter) in decaying, id(parameter) in in_encoder
        name = ("encoder" if encodes else "rest") + ("" if decays else "_without_decay")
        group = {
            "name": name,
            "params": [],
            "lr": encoder_lr if encodes else options.lr,
            "weight_decay": options.weight_decay if decays else 0.0,
        }
        groups.setdefault(name, group)["params"].append(parameter)
    return [groups[name] for name in sorted(groups)]


def _decaying_parameters(model: nn.Module) -> set[int]:
    """Return the identities of kernels of dense layers; biases, normalisation and depthwise kernels are left out."""
    kernels: set[int] = set()
    for module in model.modules():
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and not _is_depthwise(module)):
            kernels.add(id(module.weight))
    return kernels


def _is_depthwise(convolution: nn.Conv2d) -> bool:
    """Return whether a convolution works on each channel alone."""
    return convolution.groups == convolution.in_channels and convolution.groups > 1


def build_optimizer(model: nn.Module, options: OptimizerOptions) -> Optimizer:
    """Return the optimiser of a model's trainable parameters.

    Source: SGD with momentum without Nesterov: TF DeepLab `train.py`; AdamW: Loshchilov and Hutter 2019.
    """
    groups = parameter_groups(model, options)
    if options.name == "sgd":
        return SGD(groups, lr=options.lr, momentum=options.momentum)
    return AdamW(groups, lr=options.lr, betas=(options.momentum, 0.999), fused=True)  # one pass, on CPUs too
