"""What is minimised: the weighted sum of losses that the options name."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from xseg.losses.cross_entropy import hard_pixel_cross_entropy, hard_pixel_share, labelled_cross_entropy
from xseg.losses.smp_losses import SmpLossName, smp_loss
from xseg.training.options.recipe import LossOptions

SMP_LOSSES: tuple[SmpLossName, ...] = ("focal", "dice", "lovasz", "tversky")


class Objective(nn.Module):
    """The weighted sum of losses over the labelled pixels.

    Args:
        options: which losses, and their numbers.
        ignore_index: the value of pixels without a label.
        class_weights: weight per class in the cross-entropy, (C,) float32; None for 1.
        across: maps a scalar to its mean over the processes that train together; None for one process. It makes the
            cross-entropy exactly that of all pixels together; the other losses are those of each process's pixels.
    """

    def __init__(
        self,
        options: LossOptions,
        *,
        ignore_index: int,
        class_weights: Tensor | None = None,
        across: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.options, self.ignore_index, self.across = options, ignore_index, across
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weights)
        self.terms = nn.ModuleDict(
            {
                name: smp_loss(
                    name,
                    ignore_index=ignore_index,
                    gamma=options.focal_gamma,
                    alpha=options.tversky_alpha,
                    beta=options.tversky_beta,
                )
                for name in SMP_LOSSES
                if getattr(options, name) > 0
            }
        )

    def forward(self, logits: Tensor, mask: Tensor, step: int | None = None) -> Tensor:
        """Return the objective.

        Args:
            logits: (N, C, H, W), any floating type.
            mask: (N, H, W) int64, 0 to C - 1 or the ignored value.
            step: number of optimiser steps taken, for mining hard pixels; None for no mining, as in validation, where
                scores of different steps are to be compared.

        Returns:
            A scalar, float32, or float64 for such logits.
        """
        parts = []
        if self.options.cross_entropy > 0:
            parts.append(self.options.cross_entropy * self._cross_entropy(logits, mask, step))
        parts.extend(getattr(self.options, name) * term(logits, mask) for name, term in self.terms.items())
        total: Tensor = sum(parts[1:], start=parts[0])
        return total

    def _cross_entropy(self, logits: Tensor, mask: Tensor, step: int | None) -> Tensor:
        options = self.options
        if step is None or options.hard_pixels == 1:
            return labelled_cross_entropy(
                logits,
                mask,
                ignore_index=self.ignore_index,
                class_weights=self.class_weights,
                label_smoothing=options.label_smoothing,
                across=None if step is None else self.across,
            )
        return hard_pixel_cross_entropy(
            logits,
            mask,
            share=hard_pixel_share(step, share=options.hard_pixels, steps=options.hard_pixel_steps),
            ignore_index=self.ignore_index,
            class_weights=self.class_weights,
            label_smoothing=options.label_smoothing,
            across=self.across,
        )
