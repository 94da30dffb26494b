"""What everything learned is made of: networks, diffusion, conditions, training, files. torch only; nothing of robots.

| module | holds |
|---|---|
| `networks/` | a residual MLP, a temporal U-Net, blocks over tokens: all modulated by a condition (FiLM) |
| `edm.py`, `ddpm.py` | the two diffusion processes: preconditioning and loss, schedules, samplers |
| `conditions.py` | what a network is told: embedded and added, dropped in training, weighed when sampling |
| `episodes.py` | windows of recordings |
| `training.py`, `progress.py` | a run that resumes |
| `card.py`, `tensors.py` | its files |
"""
