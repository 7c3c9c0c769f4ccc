"""Side by side with other Jupyter kernels: ``python -m benchmarks``. The figures are ratios taken in one run."""
