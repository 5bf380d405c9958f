"""Each proxy of `examples/proxies`, really started, before a service of ours, and attacked."""
