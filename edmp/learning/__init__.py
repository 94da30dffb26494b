"""What everything learned is made of: networks, diffusion, training, files. torch only; nothing of robots.

| module | holds |
|---|---|
| `networks/` | a residual MLP, a temporal U-Net, blocks over tokens: all modulated by a condition (FiLM) |
| `edm.py`, `ddpm.py` | the two diffusion processes: preconditioning and loss, schedules, samplers |
| `consistency.py` | one call in place of several: ways of a teacher, pairs, the error of a consistency function |
| `training.py`, `progress.py` | a run that resumes |
| `card.py`, `tensors.py` | its files |
"""
