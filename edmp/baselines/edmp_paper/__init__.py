"""EDMP as published (Saha et al. 2023): temporal U-Net, DDPM, twelve guides."""

from edmp.baselines.edmp_paper.planner import EdmpPaper, EdmpPaperSettings

__all__ = ["EdmpPaper", "EdmpPaperSettings"]
