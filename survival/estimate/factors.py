"""The factors of a coding: their levels, and which of them the others are compared with."""

from __future__ import annotations

from formulaic.transforms.contrasts import TreatmentContrasts

from survival.estimate.design import Coding, Levels, formula_variables


def factor_levels(coding: Coding) -> dict[str, Levels]:
    """Each treatment-coded factor, as written before `[T.` in the names of its columns, and its levels, the reference first.

    The reference of `C(plan, contr.treatment("pro"))` is pro, as in R's relevel; of other coding, such as contr.sum, there is none.
    """
    if coding.spec is None:
        return {name: levels for name, levels in coding.levels.items() if levels}
    found = {}
    for factor, state in coding.spec.factor_contrasts.items():
        if isinstance(state.contrasts, TreatmentContrasts):
            reference = state.contrasts.get_drop_field(list(state.levels), reduced_rank=False)
            others = [level for level in state.levels if level != reference]
            found[str(factor)] = tuple(str(level) for level in (reference, *others))
    return found


def factor_variable(coding: Coding, factor: str) -> str:
    """The column that a factor is made of: `plan` of `C(plan, contr.treatment("pro"))`."""
    return factor if factor in coding.levels else formula_variables(factor)[0]
