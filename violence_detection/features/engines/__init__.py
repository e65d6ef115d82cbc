"""Engines that run a backbone; a part has ON_GPU, `missing`, `rank`, `gains`, `policy`, `build`."""
