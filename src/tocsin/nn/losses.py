"""Summed losses: the engine divides by the count of terms, so nothing here takes a mean.

Shape legend: B rows, K classes.

Every loss is the same formula. With soft targets q (label smoothing), class weights w and focal exponent g,
a row costs the sum over classes c of `q_c * w_c * (1 - p_c)^g * -log p_c`.
With g = 0 that is torch's cross-entropy; without smoothing it is the focal loss.
Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5 (w is its alpha);
Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7 (smoothing).
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def sum_binary_cross_entropy(
    logit_B: Tensor,
    label_B: Tensor,
    *,
    weight_2: Tensor | None = None,
    gamma: float = 0.0,
    smoothing: float = 0.0,
    mask_B: Tensor | None = None,
) -> Tensor:
    """Return the summed loss of logits for the positive class, [B] -> a scalar.

    Labels are 0 or 1, integers or floats, also soft. Rows with mask 0 cost nothing, whatever their label.
    `weight_2` holds the weights of the negative and the positive class.
    Zero rows give exactly 0 with a graph.
    """
    logit_B = logit_B.float()
    target_B = label_B.to(logit_B.dtype).clamp(0, 1) * (1 - smoothing) + smoothing / 2
    log_yes_B, log_no_B = F.logsigmoid(logit_B), F.logsigmoid(-logit_B)
    yes_B, no_B = -target_B * log_yes_B, -(1 - target_B) * log_no_B
    if gamma:
        yes_B, no_B = yes_B * (gamma * log_no_B).exp(), no_B * (gamma * log_yes_B).exp()
    if weight_2 is not None:
        weight_2 = weight_2.to(logit_B)
        yes_B, no_B = yes_B * weight_2[1], no_B * weight_2[0]
    return _masked_sum(yes_B + no_B, mask_B)


def sum_categorical_cross_entropy(
    logit_BK: Tensor,
    label_B: Tensor,
    *,
    weight_K: Tensor | None = None,
    gamma: float = 0.0,
    smoothing: float = 0.0,
    mask_B: Tensor | None = None,
) -> Tensor:
    """Return the summed loss of class logits, [B, K] -> a scalar.

    Labels are indices; rows with label -1 cost nothing, like rows with mask 0.
    Zero rows give exactly 0 with a graph.
    """
    log_p_BK = F.log_softmax(logit_BK.float(), dim=-1)
    known_B = label_B >= 0
    target_BK = F.one_hot(label_B.clamp(min=0), logit_BK.shape[-1]).to(log_p_BK.dtype)
    target_BK = target_BK * (1 - smoothing) + smoothing / logit_BK.shape[-1]
    cost_BK = -target_BK * log_p_BK
    if gamma:
        # Kept below 1, where the derivative of (1 - p)^gamma is infinite for gamma < 1.
        cost_BK = cost_BK * (1 - log_p_BK.exp().clamp(max=1 - 1e-6)) ** gamma
    if weight_K is not None:
        cost_BK = cost_BK * weight_K.to(log_p_BK)
    return _masked_sum(cost_BK.sum(-1), known_B if mask_B is None else known_B & mask_B.bool())


def loss_terms(label_B: Tensor, weight_K: Tensor | None = None, mask_B: Tensor | None = None) -> Tensor:
    """Return float64 [B], what each row adds to the count: its class weight, or 1; 0 where it is left out.

    With it the mean over a step is torch's weighted mean. Labels are indices, or 0.0 and 1.0; -1 is left out.
    """
    label_B = label_B.long()
    terms_B = (label_B >= 0).double()
    if weight_K is not None:
        terms_B = terms_B * weight_K.double()[label_B.clamp(min=0)]
    return terms_B if mask_B is None else terms_B * mask_B.double()


def balanced_weights(label_B: Tensor, classes: int) -> Tensor:
    """Return float32 [K] weights by inverse frequency, 1 on average over rows; 0 for a class without rows.

    Source: King and Zeng 2001, "Logistic Regression in Rare Events Data", section 4.2.
    """
    count_K = torch.bincount(label_B[label_B >= 0].long(), minlength=classes).double()
    present = (count_K > 0).sum()
    return torch.where(count_K > 0, count_K.sum() / (present * count_K.clamp(min=1)), 0.0).float()


def _masked_sum(cost_B: Tensor, mask_B: Tensor | None) -> Tensor:
    return cost_B.sum() if mask_B is None else torch.where(mask_B.bool(), cost_B, 0.0).sum()
