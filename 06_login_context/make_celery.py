"""What the worker imports: ``celery --app make_celery worker``. Nobody needs to be logged in."""

import tasks  # noqa: F401  (registers them)
from app import create_app

celery = create_app().extensions["celery"]
