"""The harness: study file -> plan -> trials -> rows -> report."""
