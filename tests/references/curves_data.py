"""Write the lifelines datasets that curves.R reads: `python tests/references/curves_data.py`, then Rscript."""

from __future__ import annotations

from pathlib import Path

from lifelines.datasets import load_leukemia, load_rossi, load_stanford_heart_transplants, load_waltons

HERE = Path(__file__).parent

if __name__ == "__main__":
    load_waltons().to_csv(HERE / "waltons.csv", index=False)
    load_leukemia()[["t", "status", "sex", "Rx"]].to_csv(HERE / "leukemia.csv", index=False)
    load_rossi()[["week", "arrest", "fin", "race"]].to_csv(HERE / "rossi_curves.csv", index=False)
    heart = load_stanford_heart_transplants()
    heart[["id", "start", "stop", "event", "surgery", "transplant"]].to_csv(HERE / "heart.csv", index=False)
