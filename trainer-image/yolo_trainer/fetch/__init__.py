"""What prepare fetches over the network, where the installer allows it: see `fetcher.Fetcher`."""
