"""Writes lifelines' datasets as CSV for cox.R (R cannot read them from Python)."""

from __future__ import annotations

from pathlib import Path

from lifelines import datasets

HERE = Path(__file__).parent


def main() -> None:
    datasets.load_stanford_heart_transplants().to_csv(HERE / "cox_heart.csv", index=False)
    datasets.load_rossi().to_csv(HERE / "cox_rossi.csv", index=False)
    recur = datasets.load_recur()
    recur = recur[(recur["TIME1"] > recur["TIME0"]) & (recur["ID"] % 3 == 0)]
    recur.to_csv(HERE / "cox_recur.csv", index=False)


if __name__ == "__main__":
    main()
