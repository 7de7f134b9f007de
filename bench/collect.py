"""Results of trials -> what the report reads: rows and manifest."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench.config import Study
from bench.plan import Trial, differing
from bench.store import Result, Store
from reports import rows as schema
from tvae.files import write_atomically

CHOICES = [
    "Paddings of encoder and decoder, and the decoder's first convolution as 1x1 (Appendix B gives "
    "filters and strides only).",
    "The kernel and estimator of the MMD, the weights of coherence and prior, and the fixed "
    "deviation around r(z, T) under the per-sample KL.",
    "The exponential, which makes the matrix forms invertible; the paper writes Tz.",
    "The ranges of rotation and crop; that each view is cropped by itself is read off Fig. 3.",
    "h_xi's last layer is scaled by 0.1, so that T starts near the identity.",
    "k = 5 neighbours, Euclidean distance, on posterior means.",
    "AffNIST is generated from MNIST by its published ranges; their order is ours. A 28-pixel "
    "model sees the 40-pixel images resized.",
    "Budgets other than `paper` use Adam at 1e-3 with a cosine schedule instead of 1e-4, halved "
    "every 50 epochs; q_psi and h_xi, 1,000 units wide, keep the paper's 1e-4, since at 1e-3 h_xi "
    "dies and T is constant.",
]
"""Where the paper is silent, or where we depart from it."""


def rows(
    study: Study, trials: Sequence[Trial], results: Mapping[str, Result]
) -> list[dict[str, Any]]:
    """One row per measurement, in the order of the plan, columns as `reports.rows.COLUMNS`.

    Args:
        study: resolved.
        trials: its plan.
        results: training key -> result, of the trials that have ended.
    """
    out = []
    for trial in trials:
        result = results.get(trial.training_key)
        for measured in result.measurements if result else []:
            assert result is not None
            value = measured["value"]
            out.append(
                {
                    "study": study.name,
                    "arm": trial.arm,
                    "role": trial.role,
                    "seed": trial.seed,
                    "stage": trial.stage,
                    "status": result.status,
                    "trial": trial.training_key,
                    "evaluation": trial.evaluation_key,
                    "metric": measured["name"],
                    "value": float("nan") if value is None else float(value),
                    "unit": measured["unit"],
                    "direction": measured["direction"],
                    "fingerprint": trial.fingerprints[measured["source"]],
                    "split": trial.split,
                }
            )
    return out


def manifest(
    study: Study,
    trials: Sequence[Trial],
    results: Mapping[str, Result],
    store: Store,
    environment: Mapping[str, Any],
    command: str,
) -> schema.Manifest:
    """What the report reads besides the rows; a trial that has not ended is ``interrupted``."""
    differ = differing(study)
    arms: dict[str, schema.Arm] = {}
    roles: tuple[tuple[schema.Role, Any], ...] = (
        ("arm", study.arms),
        ("baseline", study.baselines),
    )
    for role, section in roles:
        for name, arm in section.items():
            arms[name] = {
                "role": role,
                "summary": arm.summary,
                "published": arm.published,
                "differs": differ[name],
            }
    for trial in trials:
        for measured in getattr(results.get(trial.training_key), "measurements", []):
            if measured["name"] == "cost/parameters" and measured["value"] is not None:
                arms[trial.arm]["parameters"] = int(measured["value"])

    primary: schema.Contrast = {**study.primary.model_dump()}  # type: ignore[typeddict-item]
    secondary: list[schema.Contrast] = [
        {
            "treatment": treatment,
            "control": control,
            "metric": study.primary.metric,
            "equivalence": study.primary.equivalence,
        }
        for treatment, control in study.secondary.contrasts
    ]
    secondary += [
        {**primary, "metric": metric, "equivalence": equivalence}
        for metric, equivalence in study.secondary.metrics.items()
    ]
    entries: list[schema.Trial] = []
    for trial in trials:
        result = results.get(trial.training_key, Result("interrupted", "has not ended"))
        folder = store.trial(trial.training_key)

        def relative(path: Any) -> str | None:
            return path.relative_to(store.path).as_posix() if path.exists() else None

        entries.append(
            {
                "trial": trial.training_key,
                "arm": trial.arm,
                "role": trial.role,
                "seed": trial.seed,
                "stage": trial.stage,
                "status": result.status,
                "reason": result.reason,
                "steps": int(trial.config["trainer"]["steps"]),
                "curve": relative(folder.curve),
                "pictures": relative(folder.pictures),
            }
        )
    # where the files lay is no part of the question
    dumped = study.model_dump(exclude={"data": {"root", "download"}})
    shared = ("data", "family", "model", "trainer", "metrics", "seeds", "threads", "device")
    return {
        "study": {
            "name": study.name,
            "question": study.question,
            "budget": study.budget,
            "budget_summary": study.budget_summary,
            "budget_warning": study.budget_warning,
            "level": study.level,
            "arms": arms,
            "primary": primary,
            "secondary": secondary,
            "seeds": list(study.seeds),
            "config": {name: dumped[name] for name in shared},
            "choices": CHOICES,
            "command": command,
        },
        "trials": entries,
        "environment": dict(environment),
    }


def write(store: Store, found: Sequence[Mapping[str, Any]], described: schema.Manifest) -> None:
    """Write rows and manifest into the study's folder."""
    import pandas as pd

    store.path.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(list(found), columns=list(schema.COLUMNS)).astype(schema.COLUMNS)
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    write_atomically(store.path / "rows.parquet", buffer.getvalue())
    content = json.dumps(described, indent=1, ensure_ascii=False)
    write_atomically(store.path / "manifest.json", content.encode())
