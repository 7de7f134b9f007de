"""Paired comparisons over seeds, and the one table that turns an interval into a word.

The unit is a seed: arms share seeds, so a contrast is the difference treatment - control at each
seed where both have a value. Everything here works on plain arrays and frames and knows no arm and
no metric by name.

Legend: `n` paired seeds, `d` their differences, `s` the standard deviation of d, `R` the half-width
of the region of practical equivalence, `a` a two-sided significance level.

**Verdict.** The paired t interval at level a, oriented so that positive is the metric's better
side: wholly above R is *better*, wholly below -R *worse*, within +-R *equivalent*, otherwise
*inconclusive*.

**Level.** The primary contrast stands alone at the study's level. In the declared family of m
contrasts the level follows Holm's step-down. Its p-value for a contrast is the smallest level at
which the interval decides, ``p = 2 P(t_{n-1} > ||mean(d)| - R| / (s / sqrt n))``, which for R = 0
is the paired t test's; the k-th smallest (k = 0, 1, ...) is read at ``level / (m - k)`` until one
fails to decide, and all later ones keep the level at which that happened. A wrong verdict needs an
interval that misses the true difference, so the chance of any wrong verdict in the family is at
most `level` (Holm 1979 applied to verdicts instead of to differences from zero; that stepping down
keeps errors of direction within the level too is Shaffer 1980's for independent contrasts, and
measured in ``tests/reports/statistics/test_simulated.py`` for contrasts that share a control).

**Looks.** A study that may stop early declares its looks beforehand, and the level of a look
(`reports.statistics.looks`) takes the place of the study's in all of the above: then the chance
that the interval of any look misses the true difference is at most the study's level.

**Bad ends.** A trial that diverged or failed has no value, so its seed makes no pair. It may have
come to that because of its arm; `sensitivity` says whether the primary verdict would survive if it
counted as the worst value seen.
"""
