"""The desired topology against the actual broker: differences, apply, single bindings, export, graph, policies."""
