"""Motion Policy Networks (Fishman et al. 2022, CoRL): a neural policy that sees points, rolled out to the goal."""
