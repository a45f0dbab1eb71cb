"""What fires by the clock or by an event: EventBridge Scheduler's schedules, and rules of event buses."""
