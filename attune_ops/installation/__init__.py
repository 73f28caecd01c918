"""Which installation, and the only code that talks to it: configuration, management API, AMQP, registry, audit log."""
