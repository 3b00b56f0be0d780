"""What judging will take, before it is done.

Nouns: `ObservedCost` (measured), `Estimate` (extrapolated), bound (computed from sizes).
Law: what was computed is never shown as measured.

| module | does |
|---|---|
| cost_model | what a run's folder tells of one sample's cost |
| probe | extrapolates it to the rest of the plan; a probe where there is none |
| computed, gpu_bound, picture_tokens | the cost of a model that is not on this machine |
"""

__all__ = (
    "computed",
    "gpu_bound",
    "probe",
)
