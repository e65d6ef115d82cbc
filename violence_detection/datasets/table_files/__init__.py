"""Tables of videos: videos.csv, as people save it, and manifests."""
