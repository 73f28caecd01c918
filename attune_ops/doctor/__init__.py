"""What is wrong with an installation and how to fix it: checks, explained errors, health probes, the HTML report."""
