"""Celery's settings, each chosen on purpose (docs/architecture.md, "Celery"). Read by `faas.queueing.celery_app`."""

from faas import config
from faas.queueing import names

_settings = config.load()

broker_url = _settings.redis_url
if _settings.worker_dispatch == "fast":
    # kombu's own transport for Redis, without its bookkeeping.
    broker_transport = "faas.queueing.transport:Transport"
# The hook that the platform is built on: a task's return value becomes the invocation's terminal row.
result_backend = f"faas+{_settings.database_url}"

task_default_queue = names.QUEUE
# JSON alone: a message is data, whoever could write into Redis.
accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"

# The work of a worker is waiting on sockets: threads in one process share one warm pool.
worker_pool = "threads"
worker_concurrency = _settings.worker_concurrency

# A message is a hint and the row is the truth: what a dead worker held is published again from the row. So it is acknowledged at once, and no
# message is delivered twice after the visibility timeout. (With late acknowledgement, kombu 5.7 also ends a worker when Redis restarts under it.)
task_acks_late = False
# One message in hand for each thread beyond those that run: what is fetched early waits here while another worker may be idle.
worker_prefetch_multiplier = 1
# The platform's own deadline ends an invocation, by killing its sandbox; Celery's would kill the worker's thread, or nothing at all.
task_time_limit = None
task_soft_time_limit = None
# `running` is written by the claim.
task_track_started = False
# No mirror of every step into Redis: the database has them.
worker_send_task_events = False
task_send_sent_event = False
worker_enable_remote_control = True
# Two lines for each task cost more than the rest of Celery together (PERFORMANCE.md); the platform writes one of its own.
worker_redirect_stdouts = False
worker_hijack_root_logger = False
# Redis may be away for long: go on trying, at start too.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# One connection to publish from for each thread that ever publishes by Celery, few do.
broker_pool_limit = 4
broker_transport_options = {
    # A Redis that has stopped answering is noticed in seconds; the blocking read below is shorter than this.
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 15,
    # No ETA and no late acknowledgement are used here, so nothing should ever be restored by this.
    "visibility_timeout": 86400,
}
