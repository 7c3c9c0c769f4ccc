# The penguins of Palmer station: a small analysis in cells, on real measurements.
#
# The data: 344 adult penguins of three species, measured on three islands of the Palmer archipelago, Antarctica, 2007-2009.
# Collected by Dr. Kristen Gorman with the Palmer Station LTER; given to the public domain (CC0).
# data/README.md says where the file comes from.
#
# Run it cell by cell from an editor, or as a whole: zmqkernel run docs/examples/analysis.py

# %% Load the measurements as they were written down
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

raw = pd.read_csv(Path(__file__).parent / "data" / "penguins-raw.csv", parse_dates=["Date Egg"])
laid = raw["Date Egg"]
print(f"{len(raw)} penguins, {raw.shape[1]} columns, eggs laid {laid.min():%d %b %Y} to {laid.max():%d %b %Y}")

# %% Short names
birds = pd.DataFrame(
    {
        "species": raw["Species"].str.split().str[0],
        "island": raw["Island"],
        "sex": raw["Sex"].str.lower(),
        "bill": raw["Culmen Length (mm)"],
        "depth": raw["Culmen Depth (mm)"],
        "flipper": raw["Flipper Length (mm)"],
        "mass": raw["Body Mass (g)"],
        "nitrogen": raw["Delta 15 N (o/oo)"],
    }
)
birds.head()

# %% What is missing, and what the field notes say about it
for column, count in birds.isna().sum().items():
    if count:
        print(f"{column:10} {count:3} missing")
raw["Comments"].value_counts()

# %% Birds without measurements or sex are left out, and we say so
complete = birds.dropna(subset=["sex", "bill", "depth", "flipper", "mass"])
print(f"leaving out {len(birds) - len(complete)} of {len(birds)} birds", file=sys.stderr)

# %% Who lives where
pd.crosstab(complete["species"], complete["island"], margins=True)

# %% Size by species and sex
complete.groupby(["species", "sex"])[["bill", "depth", "flipper", "mass"]].mean().round(1)

# %% Long flippers, heavy birds
figure, axes = plt.subplots(figsize=(6, 4))
for species, group in complete.groupby("species"):
    axes.scatter(group["flipper"], group["mass"] / 1000, s=12, alpha=0.7, label=species)
axes.set(xlabel="flipper length (mm)", ylabel="body mass (kg)", title="Penguins of Palmer station")
axes.legend()
plt.show()

# %% Do birds with longer bills have deeper bills? All together: no
together = complete["bill"].corr(complete["depth"])
print(f"correlation of bill length and depth, all birds: {together:+.2f}")

# %% Species by species: yes. This is Simpson's paradox
within = {species: group["bill"].corr(group["depth"]) for species, group in complete.groupby("species")}
for species, value in within.items():
    print(f"  {species:10} {value:+.2f}")


# %% How sure is that? A bootstrap: some seconds of work, with a line as it goes
def resampled_correlations(data: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    """Draw each species again with replacement, and correlate bill length with bill depth."""
    return {
        species: group.iloc[rng.integers(len(group), size=len(group))][["bill", "depth"]].corr().iloc[0, 1]
        for species, group in data.groupby("species")
    }


ROUNDS = 1200
rng = np.random.default_rng(2009)
draws: list[dict[str, float]] = []
for number in range(1, ROUNDS + 1):
    draws.append(resampled_correlations(complete, rng))
    if number % 120 == 0:
        print(f"{number:5} of {ROUNDS} resamples", flush=True)

# %% The answer with its uncertainty
bootstrap = pd.DataFrame(draws)
bootstrap.quantile([0.025, 0.5, 0.975]).T.rename(columns="{:.1%}".format).round(2)

# %% And as a picture
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5))
for species, group in complete.groupby("species"):
    slope, offset = np.polyfit(group["bill"], group["depth"], 1)
    ends = np.array([group["bill"].min(), group["bill"].max()])
    points = axes[0].scatter(group["bill"], group["depth"], s=10, alpha=0.6, label=species)
    axes[0].plot(ends, slope * ends + offset, color=points.get_facecolor()[0], alpha=1)
    axes[1].hist(bootstrap[species], bins=30, alpha=0.6, label=species)
axes[0].set(xlabel="bill length (mm)", ylabel="bill depth (mm)")
axes[1].set(xlabel="correlation within the species", ylabel="resamples")
axes[1].axvline(0, color="black", linewidth=0.8)
axes[0].legend()
figure.tight_layout()
plt.show()
