"""Clean-up safety as RabbitMQ policies: what each would do, what the broker would refuse, setting and removing."""
