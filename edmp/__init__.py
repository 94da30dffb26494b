"""edmp: motion planning for robot arms."""
